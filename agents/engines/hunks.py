"""Apply parsed file patches exactly and uniquely, whatever their line numbers say.

A hunk stands where its header says, or at the only place where its old side stands line for line. If it
stands nowhere, outer context lines are given up to the last one on each side (``git apply -C1``), and what is
left must stand once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.engines import places, texts
from agents.engines.diffs import FilePatch, Hunk, Operation
from agents.engines.edits import current
from agents.engines.protocol import EditRefused, Workbench

MAX_GIVEN_UP = 12  # git diff writes three context lines; nobody means a hundred to be approximate


@dataclass(frozen=True, slots=True)
class Computed:
    """The new contents, and the paths whose patch was found applied already."""

    changes: dict[str, bytes | None]
    applied: tuple[str, ...]


def compute(patches: Sequence[FilePatch], bench: Workbench) -> Computed:
    """The content of every file after all patches. Writes nothing; raises :class:`EditRefused` on a
    conflict.
    """
    changes: dict[str, bytes | None] = {}
    applied: list[str] = []
    for patch in patches:
        before = {path: _state(changes, bench, path) for path in {patch.path, patch.source}}
        after = _after(patch, before)
        if after is None:
            applied.append(patch.path)
        else:
            changes.update(after)
    return Computed(changes, tuple(applied))


def _state(changes: Mapping[str, bytes | None], bench: Workbench, path: str) -> bytes | None:
    return changes[path] if path in changes else current(bench, path)


def _after(patch: FilePatch, before: Mapping[str, bytes | None]) -> dict[str, bytes | None] | None:
    """What one patch makes of its files; None when it is applied already."""
    if patch.operation is Operation.CREATE:
        return _created(patch, before[patch.path])
    source = before[patch.source]
    if patch.operation is Operation.DELETE:
        return None if source is None else _deleted(patch, source)
    if patch.operation is Operation.RENAME:
        return _renamed(patch, source, before[patch.path])
    if source is None:
        raise EditRefused(f"There is no file {patch.path} to patch.", path=patch.path)
    patched = _patched(patch, source)
    return None if patched is None else {patch.path: patched}


def _created(patch: FilePatch, there: bytes | None) -> dict[str, bytes | None] | None:
    contents = [line for hunk in patch.hunks for line in hunk.new]
    text = texts.empty(patch.path).splice(0, 0, contents)
    if patch.hunks:
        text = text.with_final_newline(patch.hunks[-1].new_ends)
    content = text.encode()
    if there is None:
        return {patch.path: content}
    if there == content:
        return None
    raise EditRefused(f"The patch creates {patch.path}, which exists with another content.", path=patch.path,
                      hash=texts.fingerprint(there))  # fmt: skip


def _deleted(patch: FilePatch, source: bytes) -> dict[str, bytes | None]:
    if patch.hunks and texts.decode(patch.path, source).contents != [x for hunk in patch.hunks for x in hunk.old]:
        raise EditRefused(
            f"The patch deletes {patch.path}, whose content is not what the patch says.",
            path=patch.path,
            hash=texts.fingerprint(source),
        )
    return {patch.path: None}


def _renamed(patch: FilePatch, source: bytes | None, target: bytes | None) -> dict[str, bytes | None] | None:
    if source is None and target is not None and (not patch.hunks or _patched(patch, target) is None):
        return None
    if source is None:
        raise EditRefused(f"There is no file {patch.source} to rename.", path=patch.source)
    if target is not None:
        raise EditRefused(f"{patch.path} exists; {patch.source} is not renamed over it.", path=patch.path)
    content = _patched(patch, source) if patch.hunks else source
    return {patch.source: None, patch.path: source if content is None else content}


@dataclass(frozen=True, slots=True)
class Landed:
    """Where one side of a hunk stands, in the lines of the file as it was before any hunk."""

    start: int
    length: int
    hinted: bool  # at the very line that the header says, and with all of its context


def _patched(patch: FilePatch, data: bytes) -> bytes | None:
    """The file after all hunks; None when every hunk's new side stands there already.

    A file is written whole, so it is patched or not: hunks of which some are applied and some are not are
    a conflict.
    """
    state = texts.fingerprint(data)
    text = texts.decode(patch.source, data)
    applied = _applied(patch, text.contents)
    landed: list[Landed] = []
    original, floor, drift, grown = text.contents, 0, 0, 0
    for hunk in patch.hunks:
        place = _placed(text, hunk, floor=floor, hint=hunk.start - 1 + drift)
        if place is None:
            if applied is not None:
                return None
            raise _conflict(patch, hunk, text.contents, state, floor)
        at, skip, keep = place
        new = hunk.new[skip : len(hunk.new) - keep]
        hinted = at == hunk.start - 1 + drift and not skip and not keep
        landed.append(Landed(at - grown, len(hunk.old) - skip - keep, hinted))
        text = text.splice(at, at + landed[-1].length, new)
        if not keep and at + len(new) == len(text.lines) and not (hunk.old_ends and hunk.new_ends):
            text = text.with_final_newline(hunk.new_ends)
        floor = at + len(new)
        drift = at - skip - (hunk.start - 1) + len(hunk.new) - len(hunk.old)
        grown += len(hunk.new) - len(hunk.old)
    if applied is not None and _rather_applied(applied, landed):
        return None
    return None if text.contents == original and text.encode() == data else text.encode()


def _applied(patch: FilePatch, contents: list[str]) -> list[Landed] | None:
    """Where the new sides of all hunks stand, if they all do."""
    found: list[Landed] = []
    floor = 0
    drift = 0
    for hunk in patch.hunks:
        at = _standing(contents, hunk.new, floor=floor, hint=hunk.start - 1 + drift)
        if at is None:
            return None
        found.append(Landed(at, len(hunk.new), hinted=at == hunk.start - 1 + drift))
        floor = at + len(hunk.new)
        drift = at - (hunk.start - 1) + len(hunk.new) - len(hunk.old)
    return found


def _rather_applied(new: list[Landed], old: list[Landed]) -> bool:
    """Where both sides of every hunk stand: whether the patch is in the file already and would land twice.

    The side that stands at the lines of the headers is the one that is there; else, as for an addition at
    the end of a file, the longer side that holds the other.
    """
    if all(side.hinted for side in old):
        return all(_covers(*pair) for pair in zip(new, old, strict=True))
    return all(side.hinted for side in new) or all(_covers(*pair) for pair in zip(new, old, strict=True))


def _covers(new: Landed, old: Landed) -> bool:
    """Whether the new side is longer and holds the place at which the old side was found."""
    return new.length > old.length and new.start <= old.start and old.start + old.length <= new.start + new.length


def _placed(text: texts.Text, hunk: Hunk, *, floor: int, hint: int) -> tuple[int, int, int] | None:
    """(index, context lines given up in front, and behind) of the one place where the old side stands."""
    contents, old = text.contents, hunk.old
    if not old:
        return (0, 0, 0) if not contents else None
    whole = _standing(contents, old, floor=floor, hint=hint)
    if whole is not None:
        unended_here = whole + len(old) == len(contents) and not text.ends_with_newline
        # A removed line that is marked as the file's last, without newline, is exactly that.
        return None if not hunk.old_ends and hunk.lines[-1][0] != " " and not unended_here else (whole, 0, 0)
    lead, trail = _context(hunk)
    for given_up in range(1, min(max(lead, trail), MAX_GIVEN_UP)):
        skip, keep = min(given_up, max(lead - 1, 0)), min(given_up, max(trail - 1, 0))
        found = [at for at in places.exact(contents, old[skip : len(old) - keep]) if at >= floor]
        if found:
            return (found[0], skip, keep) if len(found) == 1 else None
    return None


def _standing(contents: list[str], side: list[str], *, floor: int, hint: int) -> int | None:
    """Where one side of a hunk stands: at the hinted line, else at the only place behind the hunk before."""
    found = [at for at in places.exact(contents, side) if at >= floor]
    if hint in found:
        return hint
    return found[0] if len(found) == 1 else None


def _context(hunk: Hunk) -> tuple[int, int]:
    """How many context lines lead and trail."""
    signs = [sign for sign, _ in hunk.lines]
    changed = [at for at, sign in enumerate(signs) if sign != " "]
    return changed[0], len(signs) - 1 - changed[-1]


def _conflict(patch: FilePatch, hunk: Hunk, contents: list[str], state: str, floor: int) -> EditRefused:
    found = [at + 1 for at in places.exact(contents, hunk.old) if at >= floor]
    near = places.nearest(contents, hunk.old)
    why = f"stands {len(found)} times (lines {', '.join(map(str, found[:8]))})" if found else "does not stand there"
    if not hunk.old:
        why = "has no line of context to place it by"
    return EditRefused(
        f"Hunk {hunk.number} of {patch.path} {why}. " + "; ".join(near),
        path=patch.path,
        hunk=hunk.number,
        nearest=list(near),
        hash=state,
    )
