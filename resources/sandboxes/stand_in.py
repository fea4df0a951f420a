"""Stands on the host for a terminal that runs in a berth: a process to wait for and to signal. Runs alone.

    stand_in.py NAME CONNECTION_FD STATUS_FD

It holds the connection whose end ends the tree inside, so its own end does that, however it comes. It ends when the
command has ended, with its exit code; on SIGTERM, SIGINT or SIGHUP, or when whoever started it is gone, it hangs up
first and waits a while. What it reads is hostile: nothing but a number is taken from it.
"""

import os
import re
import select
import signal
import sys
import time

POLL_S = 0.5
END_S = 15
SAID_BYTES = 4096
LOST = 129  # as if hung up


def main(connection, status):
    """The exit code of the command inside."""
    parent = os.getppid()
    asked_to_end = []
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.append(True))
    said, until = b"", None
    while until is None or time.monotonic() < until:
        if until is None and (asked_to_end or os.getppid() != parent or len(said) > SAID_BYTES):
            os.close(connection)
            until = time.monotonic() + END_S
        ready = select.select([status, wake_read], [], [], POLL_S)[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
        if status in ready:
            piece = os.read(status, SAID_BYTES)
            if not piece:
                break
            said = (said + piece)[: SAID_BYTES + 1]
    ended = re.fullmatch(rb"exit ([0-9]{1,3})\n", said)
    return min(int(ended[1]), 255) if ended else LOST


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2]), int(sys.argv[3])))
