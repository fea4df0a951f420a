import pytest

from programs.heap import heap


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([2, 1], [1, 2]),
        ([3, 2, 1], [1, 2, 3]),
        ([5, 4, 3, 2, 1], [1, 2, 3, 5, 4]),
        ([9, 8, 7, 6], [6, 8, 7, 9]),
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_heap(values, expected):
    assert heap(values) == expected
