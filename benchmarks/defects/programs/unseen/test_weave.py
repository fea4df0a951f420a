import pytest

from programs.weave import Link, weave


def chain(values):
    head = None
    for value in reversed(values):
        head = Link(value, head)
    return head


def values(link):
    found = []
    while link:
        found.append(link.value)
        link = link.following
    return found


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1], []), ([], [1]), ([1, 3], [2]), ([1], [2, 3]), ([1, 4, 5], [2, 3, 6, 7])]
)
def test_weave(first, second):
    assert values(weave(chain(first), chain(second))) == sorted(first + second)
