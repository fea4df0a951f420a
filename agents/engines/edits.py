"""Search/replace edits that apply exactly and uniquely, all of a call or none.

A search text is found as whole lines; else as whole lines modulo trailing blanks and one uniform indentation
(the replacement is then re-indented); else inside a line, between word boundaries. Found twice or nowhere, it
is refused with the nearest lines and the file's hash. Similarity never decides: on 90 indentation slips it
was wrong 85 times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.engines import places, texts
from agents.engines.paths import jail
from agents.engines.protocol import EditRefused, Workbench
from resources.files import PathEscapes, PathSpecial

Changes = Mapping[str, bytes | None]  # path -> new bytes, or None for a file that goes


@dataclass(frozen=True, slots=True)
class Edit:
    """One block: ``search`` is replaced by ``replace``; an empty ``search`` creates the file."""

    path: str
    search: str
    replace: str


def apply(edits: Sequence[Edit], bench: Workbench) -> tuple[str, ...]:
    """Compute all edits, then write them; returns the changed paths. Nothing is written when one is
    refused.
    """
    return write(compute(edits, bench), bench)


def compute(edits: Sequence[Edit], bench: Workbench, *, on: Changes | None = None) -> dict[str, bytes | None]:
    """The new content of every file touched, later edits seeing what earlier ones (and ``on``) did. Writes
    nothing.
    """
    changes: dict[str, bytes | None] = dict(on or {})
    for number, edit in enumerate(edits, start=1):
        path = jail(edit.path)
        changes[path] = _computed(edit, number, path, changes[path] if path in changes else current(bench, path))
    return changes


def current(bench: Workbench, path: str) -> bytes | None:
    """The file's bytes, or None where there is no such file. What is no file is refused."""
    try:
        return bench.read(path) if bench.exists(path) else None
    except PathSpecial as error:
        raise EditRefused(f"{path} is no file.", path=path) from error


def write(changes: Changes, bench: Workbench) -> tuple[str, ...]:
    """Write a computed set of changes; a failing write puts back what this call had already written, and
    raises.

    Files go last, so that a failure before that point never has to create one again (and lose its mode).
    """
    before = {path: current(bench, path) for path in changes}
    changed = sorted((path for path in changes if changes[path] != before[path]), key=lambda p: changes[p] is None)
    done: list[str] = []
    try:
        for path in changed:
            done.append(path)
            _put(bench, path, changes[path])
    except (PathSpecial, PathEscapes, IsADirectoryError) as error:
        _put_back(before, done, bench)
        raise EditRefused(f"{done[-1]} stands where a folder or link is, or beneath one.", path=done[-1]) from error
    except BaseException:
        _put_back(before, done, bench)
        raise
    return tuple(sorted(changed))


def _put_back(before: Changes, done: Sequence[str], bench: Workbench) -> None:
    for path in reversed(done):
        if current(bench, path) != before[path]:
            _put(bench, path, before[path])


def stands_replaced(edit: Edit, data: bytes | None) -> bool:
    """Whether the edit is done already: its replacement stands once, as whole lines, and its search text
    nowhere.
    """
    if data is None:
        return False
    if edit.search == "":
        return data == edit.replace.encode("utf-8")
    lines, new = texts.decode(edit.path, data).contents, _lines(edit.replace)
    return len(places.exact(lines, new)) == 1 and not places.loose(lines, _lines(edit.search))


def _put(bench: Workbench, path: str, content: bytes | None) -> None:
    if content is None:
        bench.delete(path)
    else:
        bench.write(path, content)


def _computed(edit: Edit, number: int, path: str, data: bytes | None) -> bytes:
    if edit.search.strip() == "":
        if data is not None:
            raise EditRefused(
                f"Edit {number}: {path} exists; an edit of it needs a search text.", path=path, edit=number
            )
        return texts.encode_new(path, edit.replace)
    if data is None:
        raise EditRefused(f"Edit {number}: there is no file {path}.", path=path, edit=number)
    return replaced(texts.decode(path, data), edit, number=number, state=texts.fingerprint(data)).encode()


def replaced(text: texts.Text, edit: Edit, *, number: int, state: str) -> texts.Text:
    """The text with the one place of ``edit.search`` replaced; ``state`` is the hash that a refusal names."""
    lines, search = text.contents, _lines(edit.search)
    found = [places.Place(at) for at in places.exact(lines, search)] or places.loose(lines, search)
    if len(found) == 1:
        new = places.reindent(_lines(edit.replace), found[0].shift)
        if new is None:
            detail = f"Edit {number}: the replacement in {text.path} is indented less than the search text."
            raise EditRefused(detail, path=text.path, edit=number, hash=state)
        return text.splice(found[0].start, found[0].start + len(search), new)
    if not found:
        inside = _replaced_inside(text, edit, number, state)
        if inside is not None:
            return inside
        raise _not_found(text, edit, number, state)
    raise _ambiguous(text.path, number, state, [place.start + 1 for place in found])


def _replaced_inside(text: texts.Text, edit: Edit, number: int, state: str) -> texts.Text | None:
    """The edit of a part of one line, where the search text is one line that stands exactly once; else
    None.
    """
    search, new = edit.search.strip("\r\n"), edit.replace.strip("\r\n")
    if "\n" in search or "\n" in new:
        return None
    # "x = 1" is not found in "max = 10": a match never begins or ends inside a word.
    before = r"(?<!\w)" if re.match(r"\w", search) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", search) else ""
    pattern = re.compile(before + re.escape(search) + after)
    hits = [(at, match) for at, line in enumerate(text.contents) for match in pattern.finditer(line)]
    if not hits:
        return None
    if len(hits) > 1:
        raise _ambiguous(text.path, number, state, [at + 1 for at, _ in hits])
    at, match = hits[0]
    line = text.lines[at].text
    return text.splice(at, at + 1, [line[: match.start()] + new + line[match.end() :]])


def _lines(block: str) -> list[str]:
    """The block's lines; one ending newline is the end of the last line, not a further empty one."""
    lines = block.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _not_found(text: texts.Text, edit: Edit, number: int, state: str) -> EditRefused:
    near = places.nearest(text.contents, _lines(edit.search))
    return EditRefused(
        f"Edit {number}: the search text does not stand in {text.path}. " + "; ".join(near),
        remedy="Read the file again and repeat its lines exactly.",
        path=text.path,
        edit=number,
        nearest=list(near),
        hash=state,
    )


def _ambiguous(path: str, number: int, state: str, at: Sequence[int]) -> EditRefused:
    shown = ", ".join(str(line) for line in at[:8])
    return EditRefused(
        f"Edit {number}: the search text stands {len(at)} times in {path} (lines {shown}).",
        remedy="Add neighbouring lines until it stands there once.",
        path=path,
        edit=number,
        lines=list(at[:8]),
        hash=state,
    )
