"""The workbench of an engine: files and commands of one checkout in one berth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.engines.protocol import CopyFailed
from operations.coding.permissions import Permissions
from resources.files import Beneath, PathEscapes, PathSpecial, WorkspaceFull
from resources.sandboxes.protocol import Command, Outcome, Sandbox

OUTPUT_BYTES = 1_000_000
COPY_TIMEOUT_S = 120.0
EVERYTHING = Permissions()


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
        permissions: Permissions = EVERYTHING,
        output_bytes: int = OUTPUT_BYTES,
        errands: Sandbox | None = None,
        part: str = "",
    ) -> None:
        self._sandbox, self._directory, self._say, self._cancelled = sandbox, directory, say, cancelled
        self._errands = errands or sandbox  # for what is ours and nobody watches
        self._part = part
        self._permissions, self._output_bytes = permissions, output_bytes
        self._observed = observed  # told of each result of a command, in words
        self._files = Beneath(directory)

    def read(self, path: str, *, limit_bytes: int = 2_000_000) -> bytes:
        return self._files.read(path, limit_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._permissions.check_change(path)
        self._files.write(path, content)

    def delete(self, path: str) -> None:
        self._permissions.check_change(path)
        self._files.delete(path)

    def exists(self, path: str) -> bool:
        return self._files.exists(path)

    def files(self) -> Sequence[str]:
        return self._files.files()

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        self._permissions.check_run(argv[0])
        self.say(f"$ {' '.join(argv)[:300]}")
        command = Command(
            argv=tuple(argv), cwd=self._directory, timeout_s=timeout_s, stdin=stdin,
            output_limit_bytes=self._output_bytes, part=self._part,
        )  # fmt: skip
        outcome = self._sandbox.run(command, cancelled=self._cancelled)
        words = f"exit {outcome.exit_code} after {outcome.duration_s:.1f} s"
        self.say(f"  {words}")
        self._observed(f"{argv[0][:80]}: {words}")
        return outcome

    def say(self, line: str) -> None:
        self._say(f"[{self._part}] {line}" if self._part else line)

    def cancelled(self) -> bool:
        return self._cancelled()

    @contextmanager
    def copied(self, name: str) -> Iterator[BerthCopy]:
        directory = self._directory.with_name(f"{self._directory.name}-{name.replace(' ', '-')}")
        self._errand("rm", "-rf", "--", str(directory))
        try:
            self._errand("cp", "-a", "--", str(self._directory), str(directory), cancelled=self._cancelled)
            yield BerthCopy(
                original=self, sandbox=self._sandbox, directory=directory, say=self._say, cancelled=self._cancelled,
                observed=self._observed, permissions=self._permissions, output_bytes=self._output_bytes,
                errands=self._errands, part=name,
            )  # fmt: skip
        finally:
            try:
                self._errand("rm", "-rf", "--", str(directory))
            except CopyFailed as fault:  # it goes with the berth; the work in it is done
                self.say(f"a copy of the checkout stays for now: {fault.detail}")

    def _errand(self, *argv: str, cwd: Path | None = None, cancelled: Callable[[], bool] | None = None) -> None:
        try:
            outcome = self._errands.run(Command(argv=argv, cwd=cwd, timeout_s=COPY_TIMEOUT_S), cancelled=cancelled)
        except WorkspaceFull as fault:
            raise CopyFailed(f"no room for a copy of the checkout: {fault.detail}") from fault
        if not outcome.ok:
            raise CopyFailed(f"{argv[0]} did not end well: {outcome.text(300).strip() or outcome.exit_code}")


class BerthCopy(BerthBench):
    """Implements :class:`agents.engines.protocol.Copy`."""

    def __init__(self, *, original: BerthBench, **more: Any) -> None:
        super().__init__(**more)
        self._original = original

    def give_back(self, paths: Sequence[str]) -> None:
        found = {path: self._is_file(path) for path in paths}
        for path in [path for path, is_file in found.items() if is_file is None]:
            self.say(f"{path} is no file any more; it stays as it was")
        target = self._original._directory
        if known := [path for path, is_file in found.items() if is_file is not None]:
            self._errand("rm", "-f", "--", *(str(target / path) for path in known))
        if there := [path for path, is_file in found.items() if is_file]:
            self._errand("cp", "-a", "--parents", "--", *there, f"{target}/", cwd=self._directory)

    def _is_file(self, path: str) -> bool | None:
        """Whether a regular file is there; None for what is something else, or behind a link."""
        try:
            with self._files.opened(path):
                return True
        except FileNotFoundError:
            return False
        except (PathSpecial, PathEscapes):
            return None
