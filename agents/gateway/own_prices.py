"""The operator's own prices: a JSON file that can say all that our list can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.gateway.prices import Entry, Usd

_AMOUNTS = ("input", "output", "cached", "written")
_MOST_USD = 1_000_000


class BadPriceFile(Exception):
    """The operator's price file cannot be used; the message says where."""


def read_own(path: Path | None) -> tuple[Entry, ...]:
    """The operator's price file: ``{"provider/name": {"since", "input", "output", "cached"?, "written"?, "long"?}}``,
    or a list of such objects per name, each from its day on.

    ``long`` is a tier for calls with more input than ``above``, or a list of them: ``{"above", "input", "output",
    "cached"?, "written"?}``. Read again when the file has changed. Raises :class:`BadPriceFile`.
    """
    if path is None:
        return ()
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BadPriceFile(f"MOORAGE_MODEL_PRICES={path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=4)
def _read(path: Path, _changed_at: int) -> tuple[Entry, ...]:
    try:
        document = json.loads(path.read_text())
        return tuple(
            _entry(model, fields)
            for model, listed in _object(document, "the file").items()
            for fields in (listed if isinstance(listed, list) else [listed])
        )
    except ValueError as error:
        raise BadPriceFile(f"{path}: {error}") from error


def _entry(model: str, fields: Any) -> Entry:
    known = _known(fields, model, needed=("since", "input", "output"), more=("cached", "written", "long"))
    try:
        since = date.fromisoformat(known["since"])
    except (TypeError, ValueError):
        raise ValueError(f"{model}: since is a day, such as 2026-01-31") from None
    long = known.get("long", [])
    tiers = tuple(_tier(model, tier) for tier in (long if isinstance(long, list) else [long]))
    bounds = [above for above, _ in tiers]
    if bounds != sorted(set(bounds)):
        raise ValueError(f"{model}: the bounds of long rise from tier to tier")
    return Entry(model, since, _usd(model, known), tiers)


def _tier(model: str, fields: Any) -> tuple[int, Usd]:
    where = f"{model}: long"
    known = _known(fields, where, needed=("above", "input", "output"), more=("cached", "written"))
    above = known["above"]
    if isinstance(above, bool) or not isinstance(above, int) or above < 1:
        raise ValueError(f"{where}: above is a whole number of tokens, from 1")
    return above, _usd(where, known)


def _usd(where: str, fields: Mapping[str, Any]) -> Usd:
    """Without a price of its own, what comes from the cache or goes there costs what other input does."""
    amounts = [fields.get(name, fields["input"]) for name in _AMOUNTS]
    for amount in amounts:
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < _MOST_USD:
            raise ValueError(f"{where}: prices are dollars per million tokens, from 0")
    return Usd(*map(float, amounts))


def _known(fields: Any, where: str, *, needed: tuple[str, ...], more: tuple[str, ...]) -> Mapping[str, Any]:
    found = _object(fields, where)
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"{where}: {', '.join(missing)} is missing")
    if extra := set(found) - {*needed, *more}:
        raise ValueError(f"{where}: unknown {', '.join(sorted(extra))}")
    return found


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no JSON object")
    return value
