# -*- coding: utf-8 -*-
"""Crates, and the list they come from."""

import sys
import csv
import os
from typing import Dict, List, Optional


class Crate(object):
    """One line of the cargo list. Weight is in kilograms; the danger class is None for harmless goods."""

    def __init__(self, goods: str, weight_kg: float, danger: Optional[str] = None) -> None:
        super(Crate, self).__init__()
        self.goods = goods
        self.weight_kg = weight_kg
        self.danger = danger


def readCargo(path: str) -> List[Crate]:
    """The crates of a CSV file with the columns goods, weight_kg and danger."""
    with open(path, "r", encoding="utf-8") as source:
        return [
            Crate(row["goods"], float(row["weight_kg"]), row["danger"] or None)
            for row in csv.DictReader(source)
        ]


def by_danger(crates: List[Crate]) -> Dict[str, List[Crate]]:
    """The dangerous crates under their class, classes in order."""
    classes: Dict[str, List[Crate]] = {}
    for crate in sorted(crates, key=lambda crate: crate.danger or ""):
        if crate.danger is not None:
            classes.setdefault(crate.danger, []).append(crate)
    return classes
