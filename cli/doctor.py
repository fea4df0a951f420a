"""``moorage doctor``: is the server well, part by part."""

from __future__ import annotations

from typing import Any

from cli import terminal
from cli.call import Call
from cli.failures import OK, OPERATION_FAILED
from cli.progress import mapping


def doctor(call: Call) -> int:
    """Exit code 1 if a part is not well."""
    document = mapping(call.api.get("health/"))
    parts = [mapping(part) for part in document.get("parts") or ()]
    call.answer(document, _lines(call, parts, overall=bool(document.get("ok"))))
    return OK if document.get("ok") else OPERATION_FAILED


def _lines(call: Call, parts: list[dict[str, Any]], *, overall: bool) -> list[str]:
    lines = []
    for part in parts:
        mark = "✓" if part.get("ok") else "✗"
        said = terminal.clean(part.get("detail") or "")
        lines.append(f"{mark} {terminal.clean(part.get('name', '?')):<16} {said}".rstrip())
        if not part.get("ok") and part.get("remedy"):
            lines.append(f"  {'':<16} What helps: {terminal.clean(part['remedy'])}")
    lines.append(f"{call.api.url} is {'well' if overall else 'not well'}.")
    return [terminal.fit(line, call.width) for line in lines]
