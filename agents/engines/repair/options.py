"""How far a search may go: from the template's engine options, over the defaults of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.engines.repair.faults import OptionsInvalid


@dataclass(frozen=True, slots=True)
class Options:
    """``workers`` 0 is one per core; ``memory_mb`` is what one candidate may take beyond the warm process."""

    seconds: float = 120.0
    candidates: int = 50_000
    workers: int = 0
    memory_mb: int = 256


BOUNDS: dict[str, tuple[float, float]] = {
    "seconds": (1, 86_400),
    "candidates": (1, 10_000_000),
    "workers": (0, 256),
    "memory_mb": (16, 1_000_000),
}


def read(raw: Mapping[str, Any], *, defaults: Options | None = None) -> Options:
    """The options of a template; those of other engines are passed over. Raises OptionsInvalid."""
    values = {name: getattr(defaults or Options(), name) for name in BOUNDS}
    for name, (least, most) in BOUNDS.items():
        if name not in raw:
            continue
        value = raw[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise OptionsInvalid(f"engine.options.{name} is {value!r}; it is a number from {least:g} to {most:g}.")
        values[name] = float(value) if name == "seconds" else int(value)
    return Options(**values)
