"""Ties what tests start to the life of the test session, however that ends: kill -9 of pytest leaves nothing behind.

A plain process is told by the kernel (:func:`argv`). What a container engine has made is nobody's child; a janitor of
its own (:class:`Janitor`) clears that away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil

_ROOT = Path(__file__).resolve().parents[2]
_TETHER = _ROOT / "config" / "tether.py"


def argv(*program: str) -> list[str]:
    """How to start ``program`` so that the kernel kills it when the thread that started it ends."""
    return [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *program]


class Janitor:
    """Clears ``directory`` when the process that made this ends: what runs with its name, its mounts, itself.

    ``removes=False`` leaves the directory itself.
    """

    def __init__(self, directory: Path, *, removes: bool = True) -> None:
        what = "all" if removes else "mounts"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.tied", what, str(directory)],
            cwd=_ROOT, stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def dismiss(self) -> None:
        """Have it done now. Dismissing twice is fine."""
        self._process.communicate()


def clear(directory: Path) -> None:
    """Kill what names the directory in its argv, with all its children; unmount. Nothing there is fine."""
    if not directory.exists():
        return
    while doomed := _running(directory):
        for process in doomed:
            process.kill()
        time.sleep(0.05)  # one that has ended has no argv any more, whoever is to collect it
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        if (place := line.split(" ")[4]).startswith(f"{directory}/"):
            subprocess.run(["umount", "--lazy", place], check=False)


def _running(directory: Path) -> list[psutil.Process]:
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(directory) in words and process.pid not in ours:
            try:
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
            except psutil.NoSuchProcess:
                continue
    return list(found.values())


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends when whoever started us does
    clear(Path(sys.argv[2]))
    if sys.argv[1] == "all":
        shutil.rmtree(sys.argv[2], ignore_errors=True)
