from itertools import count, islice

from merged import merged


def test_two():
    assert list(merged([1, 4, 6], [2, 3, 5])) == [1, 2, 3, 4, 5, 6]


def test_one():
    assert list(merged([7, 8])) == [7, 8]


def test_none():
    assert list(merged()) == []


def test_empty_sources():
    assert list(merged([], [1], [])) == [1]


def test_single_items():
    assert list(merged([3], [1], [2])) == [1, 2, 3]


def test_endless():
    assert list(islice(merged(count(0, 2), count(1, 2)), 6)) == [0, 1, 2, 3, 4, 5]


# hidden


def test_equal():
    assert list(merged([1, 1, 2], [1, 2, 2], [2])) == [1, 1, 1, 2, 2, 2, 2]


def test_unequal_length():
    assert list(merged([1, 10, 100], [5], [6, 7])) == [1, 5, 6, 7, 10, 100]
