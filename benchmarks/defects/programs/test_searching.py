import pytest

from searching import first_not_below, kth_smallest, position, square_root


@pytest.mark.parametrize(
    ("values", "wanted", "place"),
    [([3, 4, 5, 8, 9], 5, 2), ([1, 2, 4], 3, -1), ([], 1, -1), ([7], 7, 0), ([1, 2, 4, 6], 6, 3), ([1, 2, 4, 6], 0, -1)],
)
def test_position(values, wanted, place):
    assert position(values, wanted) == place


@pytest.mark.parametrize(
    ("values", "bound", "place"), [([1, 3, 3, 5], 3, 1), ([1, 3], 9, 2), ([], 1, 0), ([2, 2, 2], 2, 0), ([1, 4, 8], 5, 2)]
)
def test_first_not_below(values, bound, place):
    assert first_not_below(values, bound) == place


@pytest.mark.parametrize(
    ("values", "k", "wanted"), [([3, 1, 2], 0, 1), ([3, 1, 2], 2, 3), ([5, 5, 5, 1], 2, 5), ([1, 2, 3, 4, 5, 6], 4, 5), ([9], 0, 9)]
)
def test_kth_smallest(values, k, wanted):
    assert kth_smallest(values, k) == wanted


@pytest.mark.parametrize(("number", "precision"), [(2, 0.01), (9, 0.1), (50, 0.5), (4, 0.2)])
def test_square_root(number, precision):
    assert abs(square_root(number, precision) ** 2 - number) <= precision
