import pytest

from packing import best_value, fewest_coins, ways_to_pay


@pytest.mark.parametrize(
    ("capacity", "items", "value"),
    [
        (10, [(5, 10), (4, 40), (6, 30), (3, 50)], 90),
        (5, [(5, 7)], 7),
        (0, [(1, 1)], 0),
        (8, [(3, 30), (4, 50), (5, 60)], 90),
        (50, [(10, 60), (20, 100), (30, 120)], 220),
    ],
)
def test_best_value(capacity, items, value):
    assert best_value(capacity, items) == value


@pytest.mark.parametrize(
    ("amount", "coins", "ways"), [(4, [1, 2, 3], 4), (5, [5], 1), (0, [2], 1), (3, [2], 0), (11, [1, 5, 10, 25], 4)]
)
def test_ways(amount, coins, ways):
    assert ways_to_pay(amount, coins) == ways


@pytest.mark.parametrize(("amount", "coins", "count"), [(11, [1, 2, 5], 3), (3, [2], None), (0, [1], 0), (6, [1, 3, 4], 2)])
def test_fewest(amount, coins, count):
    assert fewest_coins(amount, coins) == count
