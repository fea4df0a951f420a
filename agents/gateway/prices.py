"""What a model costs, by date. A price nobody knows is never zero: it is the dearest known, or a refusal.

The list itself is :mod:`agents.gateway.price_list`, an operator's own is read by :mod:`agents.gateway.own_prices`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from agents.gateway.faults import PriceUnknown

# Model names carry a date or nothing behind the name that the price list has; "gpt-5-pro" is not a "gpt-5".
_DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


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
class Rates:
    """Nano-dollars per token."""

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
class Price:
    """What a call costs. ``name`` says which entry it is, and from when.

    ``tiers``, by rising bound: a call with more input than the bound has these rates, for all of it.
    """

    name: str
    rates: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()

    def of(self, usage: Usage) -> int:
        """The cost of a call in nano-dollars."""
        return [rates for above, rates in self._steps if usage.input_tokens > above][-1].of(usage)

    def most(self, *, input_tokens: int, output_tokens: int) -> int:
        """The highest cost that a call of at most so many tokens can come to."""
        ends = [above for above, _ in self.tiers] + [input_tokens]
        return max(
            rates.most(input_tokens=min(input_tokens, end), output_tokens=output_tokens)
            for (above, rates), end in zip(self._steps, ends, strict=True)
            if input_tokens > above
        )

    @property
    def _steps(self) -> tuple[tuple[int, Rates], ...]:
        return ((-1, self.rates), *self.tiers)


@dataclass(frozen=True, slots=True)
class Usd:
    """Dollars per million tokens."""

    input: float
    output: float
    cached: float
    written: float

    def rates(self) -> Rates:
        """The same in nano-dollars per token, never rounded down."""
        given = (self.input, self.output, self.cached, self.written)
        return Rates(*(math.ceil(round(usd * 1000, 6)) for usd in given))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list: what a model costs from a day on; ``tiers`` as those of :class:`Price`."""

    model: str
    since: date
    usd: Usd
    tiers: tuple[tuple[int, Usd], ...] = ()

    def price(self) -> Price:
        """What a call costs by this line."""
        tiers = tuple((above, usd.rates()) for above, usd in self.tiers)
        return Price(f"{self.model} {self.since}", self.usd.rates(), tiers)


# A model on a machine of one's own. Its cloud variants are somebody else's, and priced like all unknown ones.
_LOCAL = Price("local", Rates(0, 0, 0, 0))


def price_of(label: str, *, on: date, own: Iterable[Entry], unknown: str) -> Price:
    """The price of ``provider/name`` on a day; the operator's own entries go first.

    ``unknown`` is ``dearest`` or ``refuse``: the latter raises :class:`PriceUnknown`.
    """
    own = tuple(own)
    if found := known(label, on=on, lists=(own, listed())):
        return found
    if label.startswith("ollama/") and not label.endswith("-cloud"):
        return _LOCAL
    if unknown == "refuse":
        raise PriceUnknown(f"Nobody knows what {label} costs.", model=label)
    return _dearest([entry.price() for entry in (*own, *listed())])


def known(label: str, *, on: date, lists: Iterable[Sequence[Entry]]) -> Price | None:
    """The price of ``provider/name`` on a day by the first list that has one."""
    for entries in lists:
        if found := _newest(entries, label, on) or _newest(entries, _DATED.sub("", label), on):
            return found.price()
    return None


def answered_price(asked: Price, answered: str, usage: Usage, *, on: date, lists: Iterable[Sequence[Entry]]) -> Price:
    """What an answer costs when another model gave it than was asked: the dearer of the two; never less than asked."""
    found = known(answered, on=on, lists=lists)
    return found if found is not None and found.of(usage) > asked.of(usage) else asked


def _dearest(known: Sequence[Price]) -> Price:
    """As dear as the dearest of each kind; a long call as the dearest long one, from the lowest bound on."""
    short = [price.rates for price in known]
    tiers = [tier for price in known for tier in price.tiers]
    if not tiers:
        return Price("dearest known", _highest(short))
    long = _highest([*short, *(rates for _, rates in tiers)])
    return Price("dearest known", _highest(short), ((min(above for above, _ in tiers), long),))


def _highest(rates: Sequence[Rates]) -> Rates:
    # Without a known discount there is none.
    return Rates(
        max(one.input_nanos for one in rates),
        max(one.output_nanos for one in rates),
        max(max(one.input_nanos, one.cached_nanos) for one in rates),
        max(max(one.input_nanos, one.written_nanos) for one in rates),
    )


def listed() -> tuple[Entry, ...]:
    """Our own list."""
    from agents.gateway.price_list import LIST  # which is made of entries

    return LIST


def _newest(entries: Iterable[Entry], label: str, on: date) -> Entry | None:
    held = [entry for entry in entries if entry.model == label and entry.since <= on]
    return max(held, key=lambda entry: entry.since, default=None)
