import pytest

from structures import Account, Link, Recent, Tree, has_loop, reversed_chain, values_of


def chain(*values):
    link = None
    for value in reversed(values):
        link = Link(value, link)
    return link


@pytest.mark.parametrize("values", [(), (1,), (1, 2), (1, 2, 3, 4)])
def test_reversed(values):
    assert values_of(reversed_chain(chain(*values))) == list(reversed(values))


def test_loops():
    assert has_loop(None) is False
    assert has_loop(chain(1)) is False
    assert has_loop(chain(1, 2, 3)) is False
    links = chain(1, 2, 3, 4)
    links.following.following.following.following = links.following
    assert has_loop(links) is True


def test_an_even_chain_has_no_loop():
    assert has_loop(chain(1, 2)) is False
    assert has_loop(chain(1, 2, 3, 4)) is False


def test_tree():
    tree = Tree()
    assert tree.keys() == []
    assert tree.height() == 0
    for key in [5, 2, 8, 2, 9, 1]:
        tree.insert(key)
    assert tree.keys() == [1, 2, 5, 8, 9]
    assert tree.height() == 3


def test_tree_of_one():
    tree = Tree()
    tree.insert(4)
    assert (tree.keys(), tree.height()) == ([4], 1)


def test_cache():
    cache = Recent(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert cache.get("b") is None
    assert cache.get("a") == 1
    assert cache.get("c") == 3


def test_cache_overwrites():
    cache = Recent(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 5)
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (5, None, 3)


def test_account():
    one, other = Account(10), Account()
    one.transfer(other, 4)
    assert (one.balance, other.balance) == (6, 4)
    assert (one.history, other.history) == ([-4], [4])


def test_account_refuses():
    account = Account(5)
    account.withdraw(5)
    with pytest.raises(ValueError, match="not so much"):
        account.withdraw(1)
    with pytest.raises(ValueError, match="nothing"):
        account.deposit(0)
    assert account.balance == 0
