"""``moorage doctor``: is the server well, part by part."""

from __future__ import annotations

from typing import Any

from cli import terminal
from cli.call import Call
from cli.failures import OK, OPERATION_FAILED
from cli.progress import mapping

WELL = ("ok", "up", "healthy", "pass", "idle", "disabled")
LISTS = ("parts", "checks", "components")


def doctor(call: Call) -> int:
    """Exit code 1 if a part is broken; a part that is not required may be missing."""
    document = mapping(call.api.health())
    parts = parts_of(document)
    broken = [part for part in parts if not well(part) and part.get("required", True)]
    overall = well(document)
    call.answer(document, _lines(call, parts, overall=overall and not broken))
    return OK if overall and not broken else OPERATION_FAILED


def parts_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts, from a list of objects or an object by name (of an object or a word)."""
    found: Any = next((document[name] for name in LISTS if isinstance(document.get(name), (list, dict))), [])
    if isinstance(found, list):
        return [part for part in found if isinstance(part, dict)]
    return [
        {"name": name, **part} if isinstance(part, dict) else {"name": name, "status": str(part)}
        for name, part in found.items()
    ]


def well(part: dict[str, Any]) -> bool:
    """By ``ok`` where it is there, else by ``status``."""
    if isinstance(part.get("ok"), bool):
        return bool(part["ok"])
    return str(part.get("status", "ok")).lower() in WELL


def _lines(call: Call, parts: list[dict[str, Any]], *, overall: bool) -> list[str]:
    lines = []
    for part in parts:
        mark = "✓" if well(part) else "✗" if part.get("required", True) else "–"
        said = part.get("detail") or part.get("status") or ""
        lines.append(f"{mark} {terminal.clean(part.get('name', '?')):<14} {terminal.clean(said)}".rstrip())
        if not well(part) and part.get("remedy"):
            lines.append(f"  {'':<14} What helps: {terminal.clean(part['remedy'])}")
    lines.append(f"{call.api.url} is {'well' if overall else 'not well'}.")
    return [terminal.fit(line, call.width) for line in lines]
