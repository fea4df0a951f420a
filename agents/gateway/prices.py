"""What a model costs, by date. A price nobody knows is never zero: it is the dearest known, or a refusal."""

from __future__ import annotations

import json
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
class Price:
    """Nano-dollars per token. ``name`` says which entry it is, and from when."""

    name: str
    input_nanos: int
    output_nanos: int
    cached_nanos: int
    written_nanos: int

    def of(self, usage: Usage) -> int:
        """The cost of a call in nano-dollars."""
        plain = max(usage.input_tokens - usage.cached_tokens - usage.written_tokens, 0)
        return (
            plain * self.input_nanos
            + usage.cached_tokens * self.cached_nanos
            + usage.written_tokens * self.written_nanos
            + usage.output_tokens * self.output_nanos
        )

    def most(self, *, input_tokens: int, output_tokens: int) -> int:
        """The highest cost that such a call can come to."""
        dearest = max(self.input_nanos, self.cached_nanos, self.written_nanos)
        return input_tokens * dearest + output_tokens * self.output_nanos


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list: dollars per million tokens, from a day on."""

    model: str
    since: date
    input_usd: float
    output_usd: float
    cached_usd: float
    written_usd: float

    def price(self) -> Price:
        per_token = [round(usd * 1000) for usd in (self.input_usd, self.output_usd, self.cached_usd, self.written_usd)]
        return Price(f"{self.model} {self.since}", *per_token)


def _openai(model: str, since: str, usd_in: float, usd_out: float, cached: float) -> Entry:
    return Entry(f"openai/{model}", date.fromisoformat(since), usd_in, usd_out, cached, usd_in)


def _anthropic(model: str, since: str, usd_in: float, usd_out: float) -> Entry:
    # Reading the cache costs a tenth. Writing costs 1.25 times the input for five minutes, twice for an hour.
    return Entry(f"anthropic/{model}", date.fromisoformat(since), usd_in, usd_out, usd_in / 10, usd_in * 2)


# From the providers' published lists; the date is the one from which we know the price to hold.
LIST: tuple[Entry, ...] = (
    _openai("gpt-4o", "2024-10-01", 2.50, 10, 1.25),
    _openai("gpt-4o-mini", "2024-10-01", 0.15, 0.60, 0.075),
    _openai("gpt-4.1", "2025-04-14", 2, 8, 0.50),
    _openai("gpt-4.1-mini", "2025-04-14", 0.40, 1.60, 0.10),
    _openai("gpt-4.1-nano", "2025-04-14", 0.10, 0.40, 0.025),
    _openai("o3", "2025-06-10", 2, 8, 0.50),
    _openai("o4-mini", "2025-04-16", 1.10, 4.40, 0.275),
    _openai("gpt-5", "2025-08-07", 1.25, 10, 0.125),
    _openai("gpt-5-mini", "2025-08-07", 0.25, 2, 0.025),
    _openai("gpt-5-nano", "2025-08-07", 0.05, 0.40, 0.005),
    _openai("gpt-5-codex", "2025-09-23", 1.25, 10, 0.125),
    _openai("gpt-5-pro", "2025-10-06", 15, 120, 15),
    _openai("gpt-5.1", "2025-11-13", 1.25, 10, 0.125),
    _openai("gpt-5.4", "2026-03-21", 2.50, 15, 2.50),
    _anthropic("claude-3-5-haiku", "2024-11-04", 0.80, 4),
    _anthropic("claude-3-7-sonnet", "2025-02-24", 3, 15),
    _anthropic("claude-sonnet-4", "2025-05-22", 3, 15),
    _anthropic("claude-opus-4", "2025-05-22", 15, 75),
    _anthropic("claude-opus-4-1", "2025-08-05", 15, 75),
    _anthropic("claude-sonnet-4-5", "2025-09-29", 3, 15),
    _anthropic("claude-haiku-4-5", "2025-10-15", 1, 5),
    _anthropic("claude-opus-4-5", "2025-11-24", 5, 25),
    _anthropic("claude-opus-4-6", "2026-01-01", 5, 25),
    _anthropic("claude-sonnet-4-6", "2026-01-01", 3, 15),
    _anthropic("claude-opus-4-7", "2026-03-01", 5, 25),
)
# A model on a machine of one's own. Its cloud variants are somebody else's, and priced like all unknown ones.
_LOCAL = Price("local", 0, 0, 0, 0)


def price_of(label: str, *, on: date, own: Iterable[Entry], unknown: str) -> Price:
    """The price of ``provider/name`` on a day; the operator's own entries go first.

    ``unknown`` is ``dearest`` or ``refuse``: the latter raises :class:`PriceUnknown`.
    """
    own = tuple(own)
    for entries in (own, LIST):
        if found := _newest(entries, label, on) or _newest(entries, _DATED.sub("", label), on):
            return found.price()
    if label.startswith("ollama/") and not label.endswith("-cloud"):
        return _LOCAL
    if unknown == "refuse":
        raise PriceUnknown(f"Nobody knows what {label} costs.", model=label)
    known = [entry.price() for entry in (*own, *LIST)]
    return Price(
        "dearest known",
        *(max(getattr(price, kind) for price in known) for kind in ("input_nanos", "output_nanos")),
        # Without a known discount there is none.
        *(max(max(price.input_nanos, getattr(price, kind)) for price in known) for kind in _CACHES),
    )


_CACHES = ("cached_nanos", "written_nanos")


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
    return Entry(model, date.fromisoformat(fields["since"]), *amounts)
