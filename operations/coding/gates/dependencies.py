"""The gate on what a project newly depends on, by name; a new version of an old dependency is none."""

from __future__ import annotations

from operations.coding.gates.manifests import READERS, UNREADABLE, Read
from operations.coding.gates.subject import Source, Subject, folded, lands_on
from operations.coding.gates.verdicts import GateResult, verdict


def dependencies(subject: Subject) -> GateResult:
    """No package that the project did not need before, no new source of packages, no new script at install time."""
    known: set[str] = set()  # what any changed file asked for before: it may have moved between them
    asked: list[tuple[str, str]] = []
    found = []
    for path, source in subject.sources.items():
        if (read := _reader(path)) is None:
            continue
        before, after = _names(read, source.before), _names(read, source.after)
        known |= before or set()
        if after is None or _too_big(subject, path, source):
            found.append(f"{path} cannot be read: nobody knows what it asks for")
        else:
            asked += [(path, name) for name in sorted(after)]
    for path, name in asked:
        if name not in known:
            known.add(name)  # a manifest and its lock say the same once
            found.append(f"{path} asks for {name}")
    return verdict("dependencies", found, "none new")


def _too_big(subject: Subject, path: str, source: Source) -> bool:
    return source.after is None and path in subject.sizes


def _reader(path: str) -> Read | None:
    name = folded(path)
    patterns = ((pattern, read) for pattern, read in READERS if lands_on(name, (pattern, f"*/{pattern}")))
    return next((read for _, read in patterns), None)


def _names(read: Read, text: str | None) -> set[str] | None:
    """What a file asks for; None for one that cannot be read."""
    if text is None:
        return set()
    try:
        return set(read(text))
    except UNREADABLE:
        return None
