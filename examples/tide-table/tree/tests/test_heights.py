from datetime import datetime

from tides.heights import height_at
from tides.table import parse

MORNING = parse("2026-05-01\n 03:00 high 4.6\n 09:00 low 0.6\n")


def at(hour, minute=0):
    return height_at(MORNING, datetime(2026, 5, 1, hour, minute))


def test_half_way_between_two_tides_the_water_stands_half_way():
    assert at(6) == 2.6


def test_the_ebb_runs_fastest_in_the_middle():
    assert at(3) - at(4) < at(5) - at(6)


def test_outside_the_table_the_height_is_unknown():
    assert at(2, 59) is None
    assert at(9, 1) is None


def test_at_the_last_tide_of_the_table_the_height_is_that_tide():
    assert at(9) == 0.6
