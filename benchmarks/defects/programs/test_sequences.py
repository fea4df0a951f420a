import pytest

from sequences import (
    common_length,
    common_subsequence,
    edit_distance,
    largest_sum,
    longest_rising,
    moving_average,
    rotated,
    top,
    triangle,
)


@pytest.mark.parametrize(
    ("values", "length"), [([], 0), ([4, 2, 1], 1), ([3, 1, 4, 1, 5, 9, 2, 6], 4), ([5, 1, 3, 4, 7], 4), ([2, 2, 2], 1), ([1, 5, 2, 6, 3, 4], 4)]
)
def test_longest_rising(values, length):
    assert longest_rising(values) == length


@pytest.mark.parametrize(
    ("values", "best"), [([4, -5, 2, 1, -1, 3], 5), ([-2, -1], 0), ([], 0), ([3, -1, 4], 6), ([-2, 1, -3, 4, -1, 2, 1, -5, 4], 6)]
)
def test_largest_sum(values, best):
    assert largest_sum(values) == best


@pytest.mark.parametrize(
    ("one", "other", "common"), [("witch", "which", "wich"), ("abc", "abc", "abc"), ("", "x", ""), ("headache", "ache", "ache"), ("daenarys", "targaryen", "aary")]
)
def test_common_subsequence(one, other, common):
    assert common_subsequence(one, other) == common


@pytest.mark.parametrize(("one", "other", "length"), [("witch", "sandwich", 2), ("meow", "homeowner", 4), ("", "a", 0), ("fun", "x", 0), ("abcab", "cabab", 3)])
def test_common_length(one, other, length):
    assert common_length(one, other) == length


@pytest.mark.parametrize(("one", "other", "distance"), [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("flaw", "lawn", 2)])
def test_edit_distance(one, other, distance):
    assert edit_distance(one, other) == distance


@pytest.mark.parametrize(("rows", "last"), [(1, [1]), (2, [1, 1]), (3, [1, 2, 1]), (5, [1, 4, 6, 4, 1])])
def test_triangle(rows, last):
    assert triangle(rows)[-1] == last
    assert len(triangle(rows)) == rows


@pytest.mark.parametrize(("values", "count", "best"), [([1, 5, 3], 2, [5, 3]), ([4, 4, 1], 3, [4, 4, 1]), ([], 2, []), ([7, 8, 9, 1], 1, [9]), ([1, 2], 5, [2, 1])])
def test_top(values, count, best):
    assert top(values, count) == best


@pytest.mark.parametrize(("values", "width", "means"), [([1, 2, 3, 4], 2, [1.5, 2.5, 3.5]), ([6], 1, [6]), ([1, 2], 3, []), ([3, 3, 6], 3, [4])])
def test_moving_average(values, width, means):
    assert moving_average(values, width) == means


@pytest.mark.parametrize(("values", "places", "wanted"), [([1, 2, 3], 1, [3, 1, 2]), ([1, 2, 3], 0, [1, 2, 3]), ([1, 2], 5, [2, 1]), ([], 3, [])])
def test_rotated(values, places, wanted):
    assert rotated(values, places) == wanted
