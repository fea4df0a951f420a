import pytest

from harbor.queue import Queue, UnknownShip


@pytest.fixture
def queue():
    waiting = Queue()
    waiting.arrive("Halcyon")
    waiting.arrive("Sea Lark", tide_bound=True)
    waiting.arrive("Petrel")
    return waiting


def test_a_tide_bound_ship_goes_before_the_others(queue):
    assert queue.line() == ["Sea Lark", "Halcyon", "Petrel"]


def test_tide_bound_ships_keep_their_own_order(queue):
    queue.arrive("Kittiwake", tide_bound=True)
    assert queue.line()[:2] == ["Sea Lark", "Kittiwake"]


def test_a_called_ship_leaves_the_line(queue):
    assert queue.call_next() == "Sea Lark"
    assert queue.line() == ["Halcyon", "Petrel"]


def test_nobody_is_called_from_an_empty_line():
    assert Queue().call_next() is None


def test_a_ship_cannot_wait_twice(queue):
    with pytest.raises(ValueError, match="Petrel is waiting already"):
        queue.arrive("Petrel", tide_bound=True)


def test_the_ship_that_is_called_next_has_position_one(queue):
    assert queue.position("Sea Lark") == 1
    assert queue.position("Petrel") == 3


def test_a_ship_that_does_not_wait_has_no_position(queue):
    with pytest.raises(UnknownShip):
        queue.position("Albatross")
