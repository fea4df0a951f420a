import pytest

from programs.bellman import bellman

ROADS = {("a", "b"): 4, ("a", "c"): 1, ("c", "b"): 2, ("b", "d"): 5, ("c", "d"): 8}
BACK = {("c", "d"): 1, ("b", "c"): 1, ("a", "b"): 1}


@pytest.mark.parametrize(
    ("edges", "source", "nodes", "expected"),
    [
        ({}, "a", "a", {"a": 0}),
        (ROADS, "a", "abcd", {"a": 0, "b": 3, "c": 1, "d": 8}),
        (ROADS, "c", "abcd", {"a": float("inf"), "b": 2, "c": 0, "d": 7}),
        (BACK, "a", "abcd", {"a": 0, "b": 1, "c": 2, "d": 3}),
        ({("a", "b"): 3, ("b", "c"): -2}, "a", "abc", {"a": 0, "b": 3, "c": 1}),
    ],
)
def test_distances(edges, source, nodes, expected):
    assert bellman(edges, source, nodes) == expected
