import pytest

from orders import choices, next_order, subsets


@pytest.mark.parametrize(
    ("values", "following"),
    [([1, 2, 3], [1, 3, 2]), ([3, 2, 1], None), ([1, 3, 2], [2, 1, 3]), ([3, 5, 9, 7, 1], [3, 7, 1, 5, 9]), ([1], None)],
)
def test_next_order(values, following):
    assert next_order(values) == following


def test_subsets():
    assert subsets([]) == [[]]
    assert subsets([1, 2]) == [[], [2], [1], [1, 2]]
    assert len(subsets("abcd")) == 16


@pytest.mark.parametrize(
    ("values", "count", "found"),
    [([1, 2, 3], 2, [[1, 2], [1, 3], [2, 3]]), ([1], 2, []), ([1, 2], 0, [[]]), ([1, 2], 2, [[1, 2]])],
)
def test_choices(values, count, found):
    assert choices(values, count) == found
