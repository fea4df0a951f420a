import pytest
from expiring import Expiring


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return Expiring(10, 3, clock)


def test_get(cache):
    cache.put("a", 1)
    assert cache.get("a") == 1


def test_default(cache):
    assert cache.get("a") is None
    assert cache.get("a", 5) == 5


def test_expires(cache, clock):
    cache.put("a", 1)
    clock.now = 9
    assert cache.get("a") == 1
    clock.now = 10
    assert cache.get("a") is None
    assert len(cache) == 0


def test_limit(cache):
    for key in "abcd":
        cache.put(key, key)
    assert [cache.get(key) for key in "abcd"] == [None, "b", "c", "d"]


def test_written_again_is_young(cache):
    for key in "abc":
        cache.put(key, key)
    cache.put("a", 1)
    cache.put("d", 4)
    assert cache.get("a") == 1
    assert cache.get("b") is None


def test_writing_again_drops_none(cache):
    for key in "abc":
        cache.put(key, key)
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == ["a", "b", 3]


def test_len(cache, clock):
    cache.put("a", 1)
    clock.now = 5
    cache.put("b", 1)
    assert len(cache) == 2
    clock.now = 12
    assert len(cache) == 1


# hidden


def test_written_again_lives_longer(cache, clock):
    cache.put("a", 1)
    clock.now = 8
    cache.put("a", 2)
    clock.now = 15
    assert cache.get("a") == 2
    assert len(cache) == 1


def test_what_is_late_makes_room(cache, clock):
    cache.put("a", 1)
    clock.now = 5
    cache.put("b", 2)
    cache.put("c", 3)
    clock.now = 11
    cache.put("d", 4)
    assert [cache.get(key) for key in "abcd"] == [None, 2, 3, 4]
