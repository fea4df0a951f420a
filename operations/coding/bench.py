"""The workbench of an engine: files and commands of one checkout in one berth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from resources.files import Beneath
from resources.sandboxes.protocol import Command, Outcome, Sandbox


class BerthBench:
    """Implements :class:`agents.engines.protocol.Workbench`: opens files beneath the checkout, runs in the sandbox."""

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        directory: Path,
        say: Callable[[str], None],
        cancelled: Callable[[], bool],
        observed: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self._sandbox, self._directory, self._say, self._cancelled = sandbox, directory, say, cancelled
        self._observed = observed  # told of each result of a command, in words
        self._files = Beneath(directory)

    def read(self, path: str, *, limit_bytes: int = 2_000_000) -> bytes:
        return self._files.read(path, limit_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._files.write(path, content)

    def delete(self, path: str) -> None:
        self._files.delete(path)

    def exists(self, path: str) -> bool:
        return self._files.exists(path)

    def files(self) -> Sequence[str]:
        return self._files.files()

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        self.say(f"$ {' '.join(argv)[:300]}")
        command = Command(argv=tuple(argv), cwd=self._directory, timeout_s=timeout_s, stdin=stdin)
        outcome = self._sandbox.run(command, cancelled=self._cancelled)
        words = f"exit {outcome.exit_code} after {outcome.duration_s:.1f} s"
        self.say(f"  {words}")
        self._observed(f"{argv[0][:80]}: {words}")
        return outcome

    def say(self, line: str) -> None:
        self._say(line)

    def cancelled(self) -> bool:
        return self._cancelled()
