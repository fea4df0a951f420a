import pytest
from chain import build, swapped_in_pairs, values, without_nth_last


@pytest.mark.parametrize(
    "before, n, after",
    [
        ([1, 2, 3, 4, 5], 2, [1, 2, 3, 5]),
        ([1, 2, 3], 1, [1, 2]),
        ([1, 2, 3], 3, [2, 3]),
        ([1], 1, []),
    ],
)
def test_without_nth_last(before, n, after):
    assert values(without_nth_last(build(before), n)) == after


@pytest.mark.parametrize("before, after", [([], []), ([1], [1])])
def test_nothing_to_swap(before, after):
    assert values(swapped_in_pairs(build(before))) == after


@pytest.mark.parametrize("before, after", [([1, 2], [2, 1]), ([1, 2, 3], [2, 1, 3]), ([1, 2, 3, 4], [2, 1, 4, 3])])
def test_swapped_in_pairs(before, after):
    assert values(swapped_in_pairs(build(before))) == after


# hidden


@pytest.mark.parametrize("length", range(12))
def test_swapped_more(length):
    wanted = list(range(length))
    for i in range(0, length - 1, 2):
        wanted[i], wanted[i + 1] = wanted[i + 1], wanted[i]
    assert values(swapped_in_pairs(build(range(length)))) == wanted
