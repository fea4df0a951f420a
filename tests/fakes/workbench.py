"""A real workbench on a temporary directory: real files, real processes, no sandbox around them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from resources.files import Beneath
from resources.sandboxes.protocol import Outcome, Tier


class DirectoryWorkbench:
    """Implements ``agents.engines.protocol.Workbench`` beneath ``root``; held to the real one by tests/verification."""

    def __init__(self, root: Path, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.root = root
        self._beneath = Beneath(root)
        self.said: list[str] = []
        self.ran: list[tuple[str, ...]] = []
        self._cancelled = cancelled

    def put(self, path: str, content: str | bytes) -> None:
        """A file as the project brings it, whatever it is called."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def text(self, path: str) -> str:
        return (self.root / path).read_bytes().decode()

    def read(self, path: str, *, limit_bytes: int = 2_000_000) -> bytes:
        return self._beneath.read(path, limit_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._beneath.write(path, content)

    def delete(self, path: str) -> None:
        self._beneath.delete(path)

    def exists(self, path: str) -> bool:
        return self._beneath.exists(path)

    def files(self) -> Sequence[str]:
        return self._beneath.files()

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        self.ran.append(tuple(argv))
        real = [sys.executable if argv[0] == "python" else argv[0], *argv[1:]]
        started = time.monotonic()
        try:
            done = subprocess.run(real, cwd=self.root, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            return self._outcome(None, error.stdout or b"", error.stderr or b"", started, timed_out=True)
        except FileNotFoundError as error:
            return self._outcome(127, b"", str(error).encode(), started)
        return self._outcome(done.returncode, done.stdout, done.stderr, started)

    def _outcome(
        self, code: int | None, stdout: bytes, stderr: bytes, started: float, *, timed_out: bool = False
    ) -> Outcome:
        return Outcome(
            exit_code=code,
            stdout=stdout,
            stderr=stderr,
            truncated=False,
            timed_out=timed_out,
            cancelled=False,
            duration_s=time.monotonic() - started,
            tier=Tier.BARE,
        )

    def say(self, line: str) -> None:
        self.said.append(line)

    def cancelled(self) -> bool:
        return self._cancelled()
