"""Our end of a PTY on the event loop: what is printed is read in batches, what is typed goes out as it is taken."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Callable

from sessions.host.wire import MOST_DATA, MOST_INPUT, Problem, Refused

_READ = 1 << 12  # the kernel gives no more of a terminal at once
BATCH = MOST_DATA  # one frame; more would keep the loop from the others and from the flood's own ^C
_MOST_TYPED = 1 << 18  # typed, but not yet taken by the PTY


class Master:
    """Owns the descriptor until it is closed; reads only while it is told to."""

    def __init__(self, descriptor: int, *, on_readable: Callable[[], None]) -> None:
        self.descriptor = descriptor
        self._on_readable = on_readable
        self._typed = bytearray()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self.listen()

    @property
    def typed(self) -> bytes:
        """What the program has not taken yet."""
        return bytes(self._typed)

    @property
    def hides_input(self) -> bool:
        """Whether a line is asked for without showing it: then it is a password."""
        flags = termios.tcgetattr(self.descriptor)[3]
        return bool(flags & termios.ICANON) and not flags & termios.ECHO

    def listen(self) -> None:
        """Call back when there is something to read, until :meth:`wait`."""
        self._loop.add_reader(self.descriptor, self._on_readable)

    def wait(self) -> None:
        """Leave what is printed in the kernel: the program waits once that is full."""
        self._loop.remove_reader(self.descriptor)

    def read(self) -> tuple[bytes, bool]:
        """What there is, up to a batch; and whether nobody has the terminal open just now."""
        pieces, room, hung_up = [], BATCH, False
        while room > 0:
            try:
                piece = os.read(self.descriptor, min(_READ, room))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                hung_up = True
                break
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces), hung_up

    def check_room(self, data: bytes) -> None:
        """Raises Refused where the program has stopped taking what is typed."""
        if len(self._typed) + len(data) > _MOST_TYPED:
            raise Refused(Problem.INPUT_FULL, "the program does not read what is typed")

    def write(self, data: bytes) -> None:
        """Hand keystrokes to the program, now or once it takes them."""
        self._typed += data
        self._writable()

    def resize(self, columns: int, rows: int) -> None:
        """The new size, told to the program by SIGWINCH."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def leave_loop(self) -> None:
        """No more callbacks; what the kernel still holds can be read."""
        self._loop.remove_reader(self.descriptor)
        self._loop.remove_writer(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)

    def _writable(self) -> None:
        try:
            written = os.write(self.descriptor, self._typed[:MOST_INPUT])
        except BlockingIOError:
            written = 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            written = len(self._typed)  # nobody has the terminal open: what is typed goes nowhere
        del self._typed[:written]
        if self._typed:
            self._loop.add_writer(self.descriptor, self._writable)
        else:
            self._loop.remove_writer(self.descriptor)
