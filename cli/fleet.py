"""``moorage fleet …``: hold everything up, and let it go on."""

from __future__ import annotations

from typing import Any

from cli import terminal
from cli.call import Call, ago, leaf
from cli.progress import mapping


def add_to(group: Any) -> None:
    """The verbs of the fleet breaker."""
    leaf(group, "status", status, "Is the fleet paused, since when, by whom and why?")
    paused = leaf(group, "pause", pause, "Begin nothing new, and set aside what runs.")
    paused.add_argument("reason", help="why: everybody whose work waits reads it")
    leaf(group, "release", release, "Let everything go on as it was.")


def status(call: Call) -> int:
    return _answer(call, call.api.get("fleet/"))


def pause(call: Call) -> int:
    return _answer(call, call.api.post("fleet/pause/", {"reason": call.given.reason}))


def release(call: Call) -> int:
    return _answer(call, call.api.post("fleet/release/", {}))


def _answer(call: Call, document: Any) -> int:
    said = mapping(document)
    if not said.get("paused"):
        return call.answer(said, ["the fleet works"])
    words = f"paused for {ago(said.get('since'))} by {said.get('by', '')}: {said.get('reason', '')}"
    return call.answer(said, [terminal.clean(words)])
