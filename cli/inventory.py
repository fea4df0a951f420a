"""``moorage host …``, ``queue …``: what there is to work with."""

from __future__ import annotations

from typing import Any

from cli.call import Call, ago


def hosts(call: Call) -> int:
    """One row per host: alive or not, and what is reserved of what it lends."""
    return call.table(
        list(call.api.rows("hosts/", limit=call.given.limit)),
        (
            ("NAME", lambda entry: entry.get("name")),
            ("STATE", _state),
            ("SLOTS", _of_capacity("slots")),
            ("MEMORY MB", _of_capacity("memory_mb")),
            ("CPU MILLIS", _of_capacity("cpu_millis")),
            ("DISK MB", _of_capacity("disk_mb")),
            ("PORTS", _of_capacity("ports")),
            ("HEARTBEAT", lambda entry: ago(entry.get("heartbeat_at"))),
        ),
    )


def _state(host: dict[str, Any]) -> str:
    verdict = str(host.get("verdict") or "unknown")
    return f"{verdict}, draining" if host.get("draining_since") and verdict != "draining" else verdict


def _of_capacity(name: str) -> Any:
    """``2/4``: reserved of lent; nothing where only operators are told."""
    return lambda entry: f"{entry['reserved'].get(name)}/{entry['capacity'].get(name)}" if "capacity" in entry else ""


def queues(call: Call) -> int:
    """One row per queue, with whatever the server counts of it."""
    entries = list(call.api.rows("queues/", limit=call.given.limit))
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return call.table(entries, [(name.upper().replace("_", " "), _field(name)) for name in names])


def _field(name: str) -> Any:
    return lambda entry: _joined(entry.get(name))


def _joined(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(str(part) for part in value) if isinstance(value, list) else value
