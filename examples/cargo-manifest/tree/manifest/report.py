# -*- coding: utf-8 -*-
"""The summary on the clipboard."""

import re
import math
from manifest.cargo import Crate, by_danger
from typing import List, Union
import datetime

KILOGRAMS_PER_TONNE = 1000


def tonnes(crates: List[Crate]) -> float:
    """The weight of all crates, to a tenth of a tonne."""
    return round(math.fsum(crate.weight_kg for crate in crates) / KILOGRAMS_PER_TONNE, 1)


def fits(crates: List[Crate], limit: Union[int, float]) -> bool:
    """Whether a hold of that many tonnes takes them all."""
    return tonnes(crates) <= limit


def summary(ship: str, crates: List[Crate], limit: Union[int, float]) -> str:
    """A few lines for people: what is aboard, what is dangerous, what is too much."""
    lines = ["{}: {} crates, {} t".format(ship, len(crates), tonnes(crates))]
    for danger, dangerous in by_danger(crates).items():
        lines.append("  class {}: {}".format(danger, ", ".join(crate.goods for crate in dangerous)))
    if not fits(crates, limit):
        lines.append("  OVERLOADED by {:.1f} t".format(tonnes(crates) - limit))
    return "\n".join(lines)
