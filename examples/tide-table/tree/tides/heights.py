"""The height of the water at any moment between two tides."""

from datetime import datetime
from itertools import pairwise
from math import cos, pi

from tides.table import Tide


def height_at(tides: list[Tide], moment: datetime) -> float | None:
    """Metres above chart datum, to the centimetre; None outside the table."""
    for before, after in pairwise(tides):
        if before.moment <= moment < after.moment:
            passed = (moment - before.moment) / (after.moment - before.moment)
            swing = (before.height_m - after.height_m) / 2
            return round(after.height_m + swing * (1 + cos(pi * passed)), 2)
    return None
