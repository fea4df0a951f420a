from datetime import datetime

import pytest

from tides.table import TableError, next_tide, parse

MAY = """
2026-05-01
  03:12 high 4.6
  09:25 low 0.7
  15:38 high 4.4
2026-05-02
  04:01 high 4.8
"""


def test_every_line_of_the_table_becomes_a_tide():
    assert [tide.height_m for tide in parse(MAY)] == [4.6, 0.7, 4.4, 4.8]


def test_tides_come_in_the_order_of_time():
    moments = [tide.moment for tide in parse("2026-05-01\n 15:38 high 4.4\n 03:12 high 4.6\n")]
    assert moments == sorted(moments)


@pytest.mark.parametrize("line", ["03:12 high 4.6", "2026-05-01\n 03:12 ebb 4.6"])
def test_a_line_that_no_table_has_is_named(line):
    with pytest.raises(TableError, match="line"):
        parse(line)


def test_the_next_high_water_may_be_tomorrow():
    tide = next_tide(parse(MAY), datetime(2026, 5, 1, 20, 0), "high")
    assert tide.moment == datetime(2026, 5, 2, 4, 1)


def test_there_is_no_next_tide_at_the_end_of_the_table():
    assert next_tide(parse(MAY), datetime(2026, 5, 2, 4, 1), "high") is None
