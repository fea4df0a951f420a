"""A real workbench on a temporary directory: real files, real processes, no sandbox around them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        self.name = ""
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
        self.said.append(f"[{self.name}] {line}" if self.name else line)

    def cancelled(self) -> bool:
        return self._cancelled()

    @contextmanager
    def copied(self, name: str) -> Iterator[DirectoryCopy]:
        root = self.root.with_name(f"{self.root.name}-{name.replace(' ', '-')}")
        shutil.copytree(self.root, root, symlinks=True)
        copy = DirectoryCopy(root, cancelled=self._cancelled)
        copy.original, copy.name, copy.said, copy.ran = self.root, name, self.said, self.ran
        try:
            yield copy
        finally:
            shutil.rmtree(root)


class DirectoryCopy(DirectoryWorkbench):
    """Implements ``agents.engines.protocol.Copy``."""

    original: Path

    def give_back(self, paths: Sequence[str]) -> None:
        for path in paths:
            source, target = self.root / path, self.original / path
            if source.is_symlink() or source.is_dir():
                self.say(f"{path} is no file any more; it stays as it was")
                continue
            target.unlink(missing_ok=True)
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
