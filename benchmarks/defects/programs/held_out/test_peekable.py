import pytest
from peekable import Peekable, runs


def test_iterates():
    assert list(Peekable([1, 2, 3])) == [1, 2, 3]


def test_peek_keeps():
    items = Peekable("ab")
    assert items.peek() == "a"
    assert items.peek() == "a"
    assert next(items) == "a"
    assert next(items) == "b"


def test_peek_at_the_end():
    items = Peekable([])
    assert items.peek() is None
    assert items.peek("x") == "x"


def test_stops():
    items = Peekable([1])
    next(items)
    with pytest.raises(StopIteration):
        next(items)


@pytest.mark.parametrize("numbers, expected", [
    ([], []), ([4], [[4, 4]]), ([1, 3], [[1, 1], [3, 3]]),
    ([1, 2, 3, 7, 8], [[1, 3], [7, 8]]), ([0, 1], [[0, 1]]),
])
def test_runs(numbers, expected):
    assert list(runs(numbers)) == expected


# hidden


def test_truth():
    items = Peekable([0])
    assert items
    assert next(items) == 0
    assert not items


def test_peek_then_list():
    items = Peekable([None, 2])
    items.peek()
    assert list(items) == [None, 2]
