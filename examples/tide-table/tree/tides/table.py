"""The printed table: parsing it, and finding a tide in it."""

from dataclasses import dataclass
from datetime import date, datetime, time


class TableError(ValueError):
    """A line of the table says something that no table says."""


@dataclass(frozen=True)
class Tide:
    """One extreme: the moment (harbour time), ``high`` or ``low``, and metres above chart datum."""

    moment: datetime
    kind: str
    height_m: float


def parse(text: str) -> list[Tide]:
    """Every tide of the table, in the order of time."""
    tides: list[Tide] = []
    day: date | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) == 1:
            day = date.fromisoformat(words[0])
            continue
        if day is None or len(words) != 3 or words[1] not in ("high", "low"):
            raise TableError(f"line {number}: {line.strip()!r}")
        clock, kind, height = words
        tides.append(Tide(datetime.combine(day, time.fromisoformat(clock)), kind, float(height)))
    return sorted(tides, key=lambda tide: tide.moment)


def next_tide(tides: list[Tide], moment: datetime, kind: str) -> Tide | None:
    """The first tide of that kind after the moment, or None at the end of the table."""
    return next((tide for tide in tides if tide.kind == kind and tide.moment > moment), None)
