import pytest
from elevator import elevator, travelled


@pytest.mark.parametrize("start, calls, expected", [
    (3, [], []),
    (3, [5, 4], [4, 5]),
    (3, [1, 5, 2], [5, 2, 1]),
    (3, [3], [3]),
    (0, [2, 2, 1], [1, 2]),
])
def test_order(start, calls, expected):
    assert elevator(start, calls) == expected


@pytest.mark.parametrize("start, calls, expected", [
    (3, [], 0),
    (3, [7], 4),
    (3, [5, 4], 2),
    (3, [1, 5, 2], 6),
    (0, [9, 1, 5], 9),
    (9, [4, 6], 5),
])
def test_travelled(start, calls, expected):
    assert travelled(start, calls) == expected


# hidden


@pytest.mark.parametrize("start, calls, expected", [(5, [10, 0], 15), (5, [5, 5], 0), (2, [1, 0], 2), (1, [3, 2, 9], 8)])
def test_travelled_more(start, calls, expected):
    assert travelled(start, calls) == expected
