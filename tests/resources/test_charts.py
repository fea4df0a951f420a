"""Charts: coordinates within the picture, breaks where nothing is known, and words for who cannot see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from resources import charts
from resources.charts import HEIGHT, WIDTH, Charts
from resources.samples import Point

SINCE = datetime(2026, 11, 30, 12, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=10)


def drawn(*memory_mb: int | None, every_s: float = 15, tops: tuple[int, int] = (0, 0)) -> Charts:
    """The charts of these values, one every so many seconds, the last of them at the end."""
    at = [UNTIL - timedelta(seconds=every_s * n) for n in reversed(range(len(memory_mb)))]
    points = [Point(when, None, value, None, None) for when, value in zip(at, memory_mb, strict=True)]
    return charts.draw(points, since=SINCE, until=UNTIL, period_s=15, tops=tops)


def coordinates(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]


def test_the_newest_is_at_the_right_edge_and_the_highest_at_the_top() -> None:
    (chart,) = drawn(100, 400, 200).charts
    points = coordinates(chart.lines[0])
    assert points[-1][0] == WIDTH
    assert min(points, key=lambda point: point[1]) == points[1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_a_top_bounds_the_picture_unless_it_is_passed() -> None:
    (half,) = drawn(512, 512, tops=(0, 1024)).charts
    assert coordinates(half.lines[0])[0][1] == HEIGHT / 2
    (over,) = drawn(512, 4096, tops=(0, 1024)).charts
    assert coordinates(over.lines[0])[-1][1] == 1


def test_the_line_is_broken_where_nothing_was_measured() -> None:
    assert len(drawn(1, 2, 3, every_s=15).charts[0].lines) == 1
    assert len(drawn(1, 2, 3, every_s=90).charts[0].lines) == 3
    (chart,) = drawn(1, None, None, None, None, None, 2).charts
    assert len(chart.lines) == 2


def test_the_words_say_what_the_line_does() -> None:
    (chart,) = drawn(1200, 1900, 1850, tops=(0, 4096)).charts
    assert chart.words == "Memory: now 1,850 MB, from 1,200 MB to 1,900 MB, of 4,096 MB"


def test_nothing_measured_is_no_chart_and_zero_is_one() -> None:
    assert drawn().charts == ()
    assert drawn(None, None).charts == ()
    assert drawn(0).charts[0].now == "0 MB"


def test_the_table_begins_with_the_newest_and_is_short() -> None:
    found = drawn(*range(40))
    assert found.heads == ("Processor", "Memory", "Disk", "Processes")
    assert found.rows[0] == (UNTIL, ("—", "39 MB", "—", "—"))
    assert len(found.rows) <= charts.TABLE_ROWS
