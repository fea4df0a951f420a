import pytest
from search_tree import SearchTree

KEYS = [50, 30, 70, 20, 40, 60, 80, 65]


def test_in_order():
    assert list(SearchTree(KEYS)) == sorted(KEYS)


def test_no_doubles():
    tree = SearchTree([3, 3, 1, 3])
    assert list(tree) == [1, 3]
    assert len(tree) == 2


def test_empty():
    assert list(SearchTree()) == []


@pytest.mark.parametrize("key", KEYS)
def test_remove(key):
    tree = SearchTree(KEYS)
    tree.remove(key)
    assert list(tree) == sorted(set(KEYS) - {key})
    assert len(tree) == len(KEYS) - 1


def test_remove_what_is_not_there():
    with pytest.raises(KeyError):
        SearchTree(KEYS).remove(45)


# hidden


@pytest.mark.parametrize("key", [10, 5, 15, 12, 18, 13])
def test_remove_others(key):
    tree = SearchTree([10, 5, 15, 12, 18, 13])
    tree.remove(key)
    assert list(tree) == sorted({10, 5, 15, 12, 18, 13} - {key})


def test_all_can_be_removed():
    tree = SearchTree([4, 2, 6, 1, 3, 5, 7])
    for left, key in enumerate([4, 6, 2, 1, 7, 5, 3], 1):
        tree.remove(key)
        assert len(tree) == len(list(tree)) == 7 - left
