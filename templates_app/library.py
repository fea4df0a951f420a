"""Templates on disk: ``NAME.yaml`` in one directory or several.

The one module here that opens files of an operator.

A file that is broken is kept beside the good ones with its fault: one bad file does not take the others away.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from templates_app.documents import Document, parse
from templates_app.faults import Located, TemplateFault
from templates_app.yaml_text import MAX_BYTES

BUILT_IN = Path(__file__).parent / "library"
_SUFFIX = ".yaml"

_Stamp = tuple[int, int, int]  # mtime_ns, size, inode: an atomic replacement changes the last even within a tick


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """One file as it is now. ``stamp`` is the SHA-256 of its content, or of the reason why it cannot be read."""

    name: str
    directory: Path
    stamp: str
    text: str
    found: Document | TemplateFault


_cache: dict[Path, tuple[_Stamp, TemplateFile]] = {}


@dataclass(frozen=True, slots=True)
class Library(Mapping[str, Document]):
    """All templates found, by name; asking for one whose file is broken raises that file's fault.

    ``documents`` are the usable ones and ``broken`` the faults of the others, for lists.
    """

    documents: Mapping[str, Document]
    broken: Mapping[str, TemplateFault]

    def __getitem__(self, name: str) -> Document:
        if name in self.broken:
            fault = self.broken[name]
            raise TemplateFault(fault.errors)  # anew: an exception raised twice would gather tracebacks
        return self.documents[name]

    def __contains__(self, name: object) -> bool:
        return name in self.documents or name in self.broken

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.documents, *self.broken}))

    def __len__(self) -> int:
        return len(self.documents) + len(self.broken)


def load(directories: Sequence[Path] = (BUILT_IN,)) -> Library:
    """The templates of all directories; of one name twice, the one in the later directory.

    A directory that does not exist is empty. Unchanged files come from a cache.
    """
    documents: dict[str, Document] = {}
    broken: dict[str, TemplateFault] = {}
    for name, file in files(directories).items():
        if isinstance(file.found, Document):
            documents[name] = file.found
        else:
            broken[name] = file.found
    return Library(documents, broken)


def files(directories: Sequence[Path]) -> dict[str, TemplateFile]:
    """The files behind :func:`load`, by template name."""
    return {_label(path): _read(path) for directory in directories for path in _files(directory)}


def _label(path: Path) -> str:
    """The name in the file's name; of one that can name no template, something that fits rows, topics and URLs."""
    stem = path.name.removesuffix(_SUFFIX)
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", stem) or "_"
    return safe if len(safe) <= 63 else f"{safe[:62]}_"


def _files(directory: Path) -> list[Path]:
    """The template files, sorted. Hidden ones are editors' and synchronisers' business."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [directory / name for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]


def _read(path: Path) -> TemplateFile:
    """One file with its document, or with what is wrong with it."""
    try:
        # Not blocking: a FIFO of that name must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _unreadable(path, error.strerror or "cannot be opened")
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return _unreadable(path, "not a regular file")
        cached = _cache.get(path)
        if cached is not None and cached[0] == _stamp(before):
            return cached[1]
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        return _unreadable(path, error.strerror or "cannot be read")
    finally:
        os.close(descriptor)
    found = _file(path, content, _parsed(path, content))
    if _stamp(before) == _stamp(after) and len(content) == min(before.st_size, MAX_BYTES + 1):
        _cache[path] = (_stamp(before), found)  # else it was being written: read it again next time
    return found


def _stamp(status: os.stat_result) -> _Stamp:
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _file(path: Path, content: bytes, found: Document | TemplateFault) -> TemplateFile:
    text = content.decode("utf-8-sig", errors="replace")  # of a document it is all UTF-8: the parser insists
    stamp = hashlib.sha256(content).hexdigest()
    return TemplateFile(_label(path), path.parent, stamp, text, found)


def _parsed(path: Path, content: bytes) -> Document | TemplateFault:
    try:
        document = parse(content, file=path.name)
    except TemplateFault as fault:
        return fault
    if document.name != path.name.removesuffix(_SUFFIX):
        message = f"the file {path.name} holds a template named {document.name!r}"
        return TemplateFault([document.located("name_mismatch", message, ("name",), hint="name both the same")])
    return document


def _unreadable(path: Path, reason: str) -> TemplateFile:
    fault = TemplateFault([Located(code="unreadable", message=reason, file=path.name)])
    return _file(path, f"unreadable: {reason}".encode(), fault)
