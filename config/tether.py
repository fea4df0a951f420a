"""Run a program that cannot outlive the process that started it.

Used as ``python -I -S config/tether.py PARENT_PID PROGRAM ARGUMENTS…``. A program of its own rather than a
``preexec_fn``, because Python code between fork and exec can deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Ask the kernel for SIGKILL at the parent's death, undo inherited signals, become the program."""
    parent, *argv = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the request: no signal will come
        sys.exit(1)
    # A background job of a shell inherits an ignored SIGINT, and nobody could stop it politely.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is what we want
    except OSError as error:
        sys.exit(f"{argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
