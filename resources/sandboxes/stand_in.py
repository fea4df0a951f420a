"""Stands on the host for a terminal: a process to wait for and to signal. Runs alone.

    stand_in.py NAME CONNECTION_FD STATUS_FD
    stand_in.py NAME CONNECTION_FD STATUS_FD GO_FD MASTER_FD COUNTER_FD SOCKET [LAUNCHER…]

It holds the connection whose end ends the tree inside, so its own end does that, however it comes. It ends when the
command has ended, with its exit code, or by SIGHUP where none was said; on SIGTERM, SIGINT or SIGHUP, or when who
started it is gone, it hangs up first and waits a while. What it reads is hostile: only a number is taken from it.

The second form keeps the terminal for whoever started it: it holds a copy of the master, and should they die it gives
it to the next one of the same user who comes to SOCKET, together with COUNTER, which says how many bytes were read.
They own it until they hang up, and are told ``exit N`` at the end. Nobody comes within KEEP_S: it hangs up. The
descriptors above COUNTER are for LAUNCHER, which it starts itself where there is one, and so is its parent.
"""

import os
import re
import select
import signal
import socket
import struct
import sys
import time

POLL_S = 0.5
END_S = 15
KEEP_S = 120
SAID_BYTES = 4096
FIRST_FOR_LAUNCHER = 8  # terminal, control, status and perhaps one to hold; they become 0 to 5


class Keeper:
    """Has the terminal ready for the next owner while the first one lives, and gives it to them after."""

    def __init__(self, master, counter, path):
        self.master, self.counter, self.path = master, counter, path
        self.owner = None
        self.orphaned_at = None
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.umask(0o177)
        # By descriptor: a data directory may have a longer path than a socket's name may be.
        self.listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        self.listener.listen(4)
        os.close(directory)

    def watched(self):
        return [self.listener.fileno()] + ([self.owner.fileno()] if self.owner else [])

    def look(self, ready, first_lives):
        """Let the next owner in, notice that one has gone. False when nobody has wanted the terminal for too long."""
        if self.owner is not None and self.owner.fileno() in ready and not self.owner.recv(64):
            self.owner.close()
            self.owner = None
        if self.listener.fileno() in ready:
            self.let_in(first_lives)
        if first_lives or self.owner is not None:
            self.orphaned_at = None
            return True
        self.orphaned_at = self.orphaned_at or time.monotonic()
        return time.monotonic() - self.orphaned_at < KEEP_S

    def let_in(self, first_lives):
        came, _ = self.listener.accept()
        uid = struct.unpack("iII", came.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        if first_lives or self.owner is not None or uid != os.geteuid():
            came.close()
            return
        try:
            socket.send_fds(came, [f"kept {os.getpid()}\n".encode()], [self.master, self.counter])
        except OSError:
            came.close()
            return
        self.owner = came

    def leave(self, words):
        """The last word; nobody can come any more."""
        if os.path.lexists(self.path):
            os.unlink(self.path)
        if self.owner is not None:
            try:
                self.owner.sendall(words)
            except OSError:
                return


def start(launcher):
    """The launcher as our child, with the descriptors meant for it; ours are none of its business."""
    last = FIRST_FOR_LAUNCHER
    while is_open(last):
        last += 1
    terminal, *rest = range(FIRST_FOR_LAUNCHER, last)
    wiring: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, terminal, target) for target in (0, 1, 2)]
    wiring += [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(rest, 3)]
    wiring += [(os.POSIX_SPAWN_CLOSE, number) for number in range(3 + len(rest), last)]
    os.posix_spawn(launcher[0], launcher, {}, file_actions=wiring)
    os.closerange(FIRST_FOR_LAUNCHER, last)


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def main(connection, status, keeper, parent):
    """What the command inside said at its end."""
    asked_to_end = []
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.append(True))
    said, until = b"", None
    ready: list[int] = []
    while until is None or time.monotonic() < until:
        first_lives = os.getppid() == parent
        wanted = keeper.look(ready, first_lives) if keeper else first_lives
        if until is None and (asked_to_end or not wanted or len(said) > SAID_BYTES):
            os.close(connection)
            until = time.monotonic() + END_S
        ready = select.select([status, wake_read] + (keeper.watched() if keeper else []), [], [], POLL_S)[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
        if status in ready:
            piece = os.read(status, SAID_BYTES)
            if not piece:
                break
            said = (said + piece)[: SAID_BYTES + 1]
    ended = re.fullmatch(rb"(?:sealed\n)?exit ([0-9]{1,3})\n", said)
    words = b"exit %d\n" % min(int(ended[1]), 255) if ended else b"lost\n"
    if keeper:
        keeper.leave(words)
    return words


def keep(go, master, counter, path, launcher):
    """The keeper, once whoever started us has read the launcher's first line."""
    if launcher:
        start(launcher)
    keeper = Keeper(master, counter, path)
    os.read(go, 1)
    os.close(go)
    return keeper


if __name__ == "__main__":
    PARENT = os.getppid()
    CONNECTION, STATUS = int(sys.argv[2]), int(sys.argv[3])
    KEPT = None
    if sys.argv[4:]:
        GO, MASTER, COUNTER = map(int, sys.argv[4:7])
        KEPT = keep(GO, MASTER, COUNTER, sys.argv[7], sys.argv[8:])
    SAID = main(CONNECTION, STATUS, KEPT, PARENT)
    if SAID.startswith(b"exit "):
        sys.exit(int(SAID[5:]))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGHUP)
