"""What commands ran in a berth and what they printed, in files beside it that can be followed as they grow.

``<data>/transcripts/<workspace>/<number>``: the last two segments are kept, about 1 MiB in all; whoever follows goes
from one number to the next. They are ours alone (mode 600) and go with the workspace. What is in them is hostile, like
all that comes out of a berth, and belongs on a terminal's screen only; secrets that commands are given are not in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from resources.operator_secrets import Mask, Masking
from resources.sandboxes import terminal
from resources.sandboxes.launch import interpreter
from resources.sandboxes.protocol import Command, Outcome, Reference, Sandbox
from resources.sandboxes.wrapped import Wrapped

log = logging.getLogger(__name__)

SEGMENT_BYTES = 440 << 10  # one that has so many is followed by another
OUTPUT_BYTES = 64 << 10  # of one command, as it comes; then its end only
END_BYTES = 4 << 10
MOST_WORD, MOST_LINE = 120, 1000  # characters shown of an argument, and of a command
FOLLOWER = Path(__file__).with_name("following.py")
_FILES_ARE_OURS = 0o600
# What a command left behind ends here: an escape sequence that goes on, the other screen, modes, colours.
_CLEAN = b"\x18\x1b[?47l\x1b[!p\x1b[0m"


def directory_of(workspace: Path) -> Path:
    """Where the transcript of a berth lies. ValueError for a workspace of no name."""
    if workspace.name in ("", ".."):
        raise ValueError(f"{workspace.name!r} is no name of a workspace")
    return Path(settings.DATA) / "transcripts" / workspace.name


def remove(workspace: Path) -> None:
    """Take it away; twice is fine."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory_of(workspace))


def follow(reference: Reference, *, columns: int, rows: int) -> tuple[int, int]:
    """Show the transcript of a sandbox on a new PTY, from its beginning on, and whatever is added to it.

    Returns (the pid of what follows, which the caller reaps; the master descriptor, which the caller closes). It ends
    with the calling process, or by SIGTERM, and reads nothing of what is typed.
    """
    directory = directory_of(Path(reference["profile"]["workspace"]))
    return terminal.spawn_plain(
        [interpreter(), "-I", "-S", "-B", str(FOLLOWER), str(directory), str(os.getpid())], columns=columns, rows=rows
    )


class Transcribed(Wrapped):
    """Everything is the sandbox's own, but that what ``run`` runs and prints is written down as it happens.

    The innermost of wrappers: what those around it give to commands as secrets is known by ``Command.hidden``.
    """

    def __init__(self, sandbox: Sandbox, *, label: str) -> None:
        super().__init__(sandbox)
        self._label = label

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        workspace = Path(self._sandbox.reference()["profile"]["workspace"])
        with _Entry(workspace, command, label=self._label) as entry:
            heard = dataclasses.replace(command, overheard=entry.heard)
            outcome = self._sandbox.run(heard, cancelled=cancelled)
            entry.ended = _ending(outcome)
        return outcome


class _Entry:
    """One command in the transcript. A disk that takes no more ends the entry, never the command."""

    def __init__(self, workspace: Path, command: Command, *, label: str) -> None:
        mask = Mask({str(number): value for number, value in enumerate(command.hidden)})
        self.ended = "it was not run to its end"
        self._workspace = workspace
        place = ", ".join(filter(None, (label, command.part)))
        self._head = f"\x1b[1m[{place}] $ {_shown(command.argv, mask)}\x1b[0m\n"
        self._streams = {name: Masking(mask) for name in ("stdout", "stderr")}
        self._file: int | None = None
        self._shown = 0  # bytes
        self._end = b""
        self._amid_line = False

    def __enter__(self) -> Self:
        try:
            if self._workspace.is_dir():  # else it was taken away meanwhile, and its transcript with it
                self._file = _open_last(directory_of(self._workspace))
        except (OSError, ValueError) as error:
            log.warning("no transcript is kept", extra={"workspace": self._workspace.name, "error": str(error)})
        self._append(_CLEAN + self._head.encode("utf-8", "replace"))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for stream in self._streams.values():
            self._show(stream.end())
        if self._end:
            left_out = self._shown - OUTPUT_BYTES - len(self._end)
            note = f"\n… {left_out} bytes are not shown …\n" if left_out > 0 else ""
            self._append(note.encode() + self._end)
        self._append((b"\n" if self._amid_line else b"") + _CLEAN + f"{self.ended}\n\n".encode())
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def heard(self, stream: str, data: bytes) -> None:
        """The next bytes that the command wrote to ``stdout`` or ``stderr``."""
        if self._file is not None:
            self._show(self._streams[stream].feed(data))

    def _show(self, data: bytes) -> None:
        room = max(0, OUTPUT_BYTES - self._shown)
        self._shown += len(data)
        self._append(data[:room])
        if rest := data[room:][-END_BYTES:]:
            self._end = (self._end + rest)[-END_BYTES:]

    def _append(self, data: bytes) -> None:
        if self._file is None or not data:
            return
        self._amid_line = not data.endswith(b"\n")
        try:
            os.write(self._file, data)
        except OSError as error:
            log.warning("transcript given up", extra={"workspace": self._workspace.name, "error": error.strerror})
            os.close(self._file)
            self._file = None


def _open_last(directory: Path) -> int:
    """A descriptor of the last segment; where that one is full, of a new one, and all but the full one go."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    numbers = sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())
    last = numbers[-1] if numbers else 0
    if numbers and (directory / str(last)).stat().st_size >= SEGMENT_BYTES:
        for number in numbers[:-1]:
            (directory / str(number)).unlink(missing_ok=True)
        last += 1
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(directory / str(last), flags, _FILES_ARE_OURS)


def _shown(argv: tuple[str, ...], mask: Mask) -> str:
    """A command on one line. Programs and documents among its arguments, and what is not printable, are left out."""
    words = (mask.text(word) for word in argv)
    quoted = (shlex.quote(word) if len(word) <= MOST_WORD and word.isprintable() else "…" for word in words)
    return " ".join(quoted)[:MOST_LINE]


def _ending(outcome: Outcome) -> str:
    if outcome.timed_out:
        how = "it did not end in time"
    elif outcome.cancelled:
        how = "it was stopped"
    else:
        how = f"exit {outcome.exit_code}"
    return f"{how} after {outcome.duration_s:.1f} s"
