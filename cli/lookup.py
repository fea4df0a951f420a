"""From what a person types (an id, the beginning of one, a name) to the id that the API wants."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import quote

from cli.client import Api
from cli.failures import Misused, Refused, Unreachable

SHORTEST_PREFIX = 4
LOOKED_THROUGH = 2000  # newest first
_HEX = re.compile(r"[0-9a-f-]+")


def id_of(api: Api, collection: str, given: str, **narrowed: str) -> str:
    """The id behind ``given`` in projects, agents or operations. An exact name wins over a prefix."""
    noun = collection.removesuffix("s")
    try:
        return str(uuid.UUID(given))
    except ValueError:
        pass
    prefix = given.lower() if _HEX.fullmatch(given.lower()) and len(given) >= SHORTEST_PREFIX else None
    named: list[dict[str, Any]] = []
    begun: list[dict[str, Any]] = []
    for entry in api.rows(f"{collection}/", limit=LOOKED_THROUGH, **narrowed):
        if entry.get("name") == given:
            named.append(entry)
        elif prefix and str(entry.get("id", "")).startswith(prefix):
            begun.append(entry)
    matches = named or begun
    if not matches:
        raise Refused(
            f"There is no {noun} {given!r} among the newest {LOOKED_THROUGH} that you may see.",
            f"`moorage {noun} list` shows them; of an id, {SHORTEST_PREFIX} letters or more will do.",
        )
    if len(matches) > 1:
        listed = (f"  {entry.get('id')}  {entry.get('name') or entry.get('status') or ''}" for entry in matches[:10])
        raise Misused(f"{given!r} means {len(matches)} {noun}s; give more of the id:", *listed)
    return answered_id(matches[0])


def segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds."""
    if name in ("", ".", ".."):
        raise Misused(f"{name!r} is not a name.")
    return quote(name, safe="")


def answered_id(document: dict[str, Any]) -> str:
    """The id in an answer of the server; what is none would end up in a path."""
    try:
        return str(uuid.UUID(str(document.get("id"))))
    except ValueError:
        raise Unreachable("The server's answer names no id. Is this the URL of Moorage?") from None
