"""What a model costs, by date. A price nobody knows is never zero: it is the dearest known, or a refusal.

The list itself is :mod:`agents.gateway.price_list`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from agents.gateway.faults import PriceUnknown

# Model names carry a date or nothing behind the name that the price list has; "gpt-5-pro" is not a "gpt-5".
_DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class BadPriceFile(Exception):
    """The operator's price file cannot be used; the message says where."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. ``input_tokens`` counts all of the input; cached and written ones are parts of it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Long:
    """A call with more input than this costs so many times as much, all of it."""

    above: int
    read_times: float
    said_times: float


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token. ``name`` says which entry it is, and from when."""

    name: str
    input_nanos: int
    output_nanos: int
    cached_nanos: int
    written_nanos: int
    long: Long | None = None

    def of(self, usage: Usage) -> int:
        """The cost of a call in nano-dollars."""
        plain = max(usage.input_tokens - usage.cached_tokens - usage.written_tokens, 0)
        read = (
            plain * self.input_nanos
            + usage.cached_tokens * self.cached_nanos
            + usage.written_tokens * self.written_nanos
        )
        return self._sum(usage.input_tokens, read, usage.output_tokens * self.output_nanos)

    def most(self, *, input_tokens: int, output_tokens: int) -> int:
        """The highest cost that such a call can come to."""
        dearest = max(self.input_nanos, self.cached_nanos, self.written_nanos)
        return self._sum(input_tokens, input_tokens * dearest, output_tokens * self.output_nanos)

    def _sum(self, input_tokens: int, read: int, said: int) -> int:
        if self.long is None or input_tokens <= self.long.above:
            return read + said
        return math.ceil(read * self.long.read_times) + math.ceil(said * self.long.said_times)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list: dollars per million tokens, from a day on."""

    model: str
    since: date
    input_usd: float
    output_usd: float
    cached_usd: float
    written_usd: float
    long: Long | None = None

    def price(self) -> Price:
        given = (self.input_usd, self.output_usd, self.cached_usd, self.written_usd)
        per_in, per_out, per_cached, per_written = (math.ceil(round(usd * 1000, 6)) for usd in given)
        return Price(f"{self.model} {self.since}", per_in, per_out, per_cached, per_written, self.long)


# A model on a machine of one's own. Its cloud variants are somebody else's, and priced like all unknown ones.
_LOCAL = Price("local", 0, 0, 0, 0)


def price_of(label: str, *, on: date, own: Iterable[Entry], unknown: str) -> Price:
    """The price of ``provider/name`` on a day; the operator's own entries go first.

    ``unknown`` is ``dearest`` or ``refuse``: the latter raises :class:`PriceUnknown`.
    """
    own = tuple(own)
    for entries in (own, listed()):
        if found := _newest(entries, label, on) or _newest(entries, _DATED.sub("", label), on):
            return found.price()
    if label.startswith("ollama/") and not label.endswith("-cloud"):
        return _LOCAL
    if unknown == "refuse":
        raise PriceUnknown(f"Nobody knows what {label} costs.", model=label)
    known = [entry.price() for entry in (*own, *listed())]
    most_in, most_out = (max(getattr(price, kind) for price in known) for kind in ("input_nanos", "output_nanos"))
    # Without a known discount there is none.
    cached, written = (max(max(price.input_nanos, getattr(price, kind)) for price in known) for kind in _CACHES)
    long = _longest(known, most_in=most_in, most_out=most_out)
    return Price("dearest known", most_in, most_out, cached, written, long)


def _longest(known: Iterable[Price], *, most_in: int, most_out: int) -> Long | None:
    """What a long call costs at most, as a multiple of the dearest short one."""
    tiers = [(price, price.long) for price in known if price.long]
    if not tiers:
        return None
    return Long(
        min(long.above for _, long in tiers),
        max(1.0, *(price.input_nanos * long.read_times / most_in for price, long in tiers)),
        max(1.0, *(price.output_nanos * long.said_times / most_out for price, long in tiers)),
    )


_CACHES = ("cached_nanos", "written_nanos")


def listed() -> tuple[Entry, ...]:
    """Our own list."""
    from agents.gateway.price_list import LIST  # which is made of entries

    return LIST


def _newest(entries: Iterable[Entry], label: str, on: date) -> Entry | None:
    held = [entry for entry in entries if entry.model == label and entry.since <= on]
    return max(held, key=lambda entry: entry.since, default=None)


def read_own(path: Path | None) -> tuple[Entry, ...]:
    """The operator's price file: ``{"provider/name": {"since", "input", "output", "cached"?, "written"?}}``, or a list
    of such objects per name. Read again when the file has changed. Raises :class:`BadPriceFile`.
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
            for model, listed in document.items()
            for fields in (listed if isinstance(listed, list) else [listed])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPriceFile(f"{path}: {type(error).__name__}: {error}") from error


def _entry(model: str, fields: Mapping[str, Any]) -> Entry:
    if extra := set(fields) - {"since", "input", "output", "cached", "written"}:
        raise ValueError(f"{model}: unknown {', '.join(sorted(extra))}")
    amounts = [float(fields["input"]), float(fields["output"])]
    amounts += [float(fields.get(name, fields["input"])) for name in ("cached", "written")]
    if not all(0 <= amount < 1_000_000 for amount in amounts):
        raise ValueError(f"{model}: dollars per million tokens, from 0")
    usd_in, usd_out, cached, written = amounts
    return Entry(model, date.fromisoformat(fields["since"]), usd_in, usd_out, cached, written)
