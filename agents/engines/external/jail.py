"""The files that a program may ask us to read and to write: those of the checkout, opened beneath it."""

from __future__ import annotations

from pathlib import Path

from agents.engines import paths
from agents.engines.protocol import EditRefused, Workbench

LONGEST_BYTES = 1_000_000


class Jail:
    """Absolute paths of the protocol to files of one checkout."""

    def __init__(self, bench: Workbench, directory: Path) -> None:
        self._bench, self._directory = bench, directory

    def read(self, path: str, *, line: int | None, limit: int | None) -> str:
        """The text, or ``limit`` lines from the 1-based ``line`` on. FileNotFoundError, or a Fault."""
        text = self._bench.read(self._inside(path), limit_bytes=LONGEST_BYTES).decode("utf-8", "replace")
        if line is None and limit is None:
            return text
        first = max(line or 1, 1) - 1
        return "".join(text.splitlines(keepends=True)[first : None if limit is None else first + limit])

    def write(self, path: str, content: str) -> str:
        """Write it; returns the path within the checkout. A Fault for what may not be written."""
        inside = self._inside(path)
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise EditRefused("The content is no text that could be stored.") from error
        if len(data) > LONGEST_BYTES:
            raise EditRefused(f"The content has more than {LONGEST_BYTES} bytes.")
        self._bench.write(inside, data)
        return inside

    def _inside(self, path: str) -> str:
        """The path within the checkout; what leads out of it is refused before anything is opened."""
        start = f"{self._directory}/"
        if not path.startswith(start):
            raise EditRefused(f"{path[:200]!r} is not beneath the working directory.")
        return paths.jail(path.removeprefix(start))
