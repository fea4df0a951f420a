import pytest

from nested import depth, flattened


@pytest.mark.parametrize(
    ("values", "flat"),
    [([], []), ([1, 2], [1, 2]), ([[1, [2]], 3], [1, 2, 3]), ([[], [[]], 4], [4]), (["ab", ["c"]], ["ab", "c"])],
)
def test_flattened(values, flat):
    assert list(flattened(values)) == flat


@pytest.mark.parametrize(("values", "wanted"), [([], 1), ([1], 1), ([[1], [[2]], 3], 3), ([[[[]]], [1]], 4)])
def test_depth(values, wanted):
    assert depth(values) == wanted
