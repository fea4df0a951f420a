import pytest
from ring import Ring


def filled(size, items):
    ring = Ring(size)
    for item in items:
        ring.push(item)
    return ring


def test_in_and_out():
    ring = filled(3, "ab")
    assert ring.pop() == "a"
    assert ring.pop() == "b"
    assert len(ring) == 0


def test_empty():
    with pytest.raises(IndexError):
        Ring(2).pop()


def test_full():
    assert list(filled(3, "abc")) == ["a", "b", "c"]


def test_overflow():
    ring = filled(3, "abcde")
    assert len(ring) == 3
    assert list(ring) == ["c", "d", "e"]


def test_around():
    ring = filled(2, "ab")
    ring.pop()
    ring.push("c")
    assert list(ring) == ["b", "c"]


def test_in_order():
    ring = filled(3, "abc")
    assert [ring.pop() for _ in range(3)] == ["a", "b", "c"]


def test_index():
    ring = filled(3, "abc")
    assert ring[0] == "a"
    assert ring[-1] == "c"
    with pytest.raises(IndexError):
        ring[3]


# hidden


def test_index_after_overflow():
    ring = filled(3, "abcd")
    assert [ring[0], ring[2], ring[-1], ring[-3]] == ["b", "d", "d", "b"]
    with pytest.raises(IndexError):
        ring[-4]


def test_long():
    ring = Ring(4)
    for i in range(50):
        ring.push(i)
        assert list(ring) == list(range(max(0, i - 3), i + 1))
