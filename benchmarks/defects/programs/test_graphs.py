import pytest

from graphs import all_distances, distances, found_in_depth, ordered, reachable, spanning_tree

GRAPH = {"a": ["b", "c"], "b": ["d"], "c": ["d", "a"], "d": ["b"], "e": ["a"]}
ROADS = {"a": {"b": 7, "c": 3}, "c": {"b": 1, "d": 8}, "b": {"d": 2}, "d": {}}
WAYS = [("a", "d", True), ("d", "a", False), ("e", "d", True), ("a", "a", True), ("b", "x", False)]


@pytest.mark.parametrize(("start", "goal", "found"), WAYS)
def test_reachable(start, goal, found):
    assert reachable(GRAPH, start, goal) is found


@pytest.mark.parametrize(("start", "goal", "found"), WAYS)
def test_depth(start, goal, found):
    assert found_in_depth(GRAPH, start, goal) is found


def test_distances():
    assert distances(ROADS, "a") == {"a": 0, "c": 3, "b": 4, "d": 6}
    assert distances(ROADS, "d") == {"d": 0}


def test_distances_of_a_chain():
    assert distances({1: {2: 5}, 2: {3: 5}, 3: {1: 1}}, 1) == {1: 0, 2: 5, 3: 10}


def test_all_distances():
    found = all_distances(3, {(0, 1): 3, (1, 2): 4, (2, 0): 1})
    assert found[0, 2] == 7
    assert found[1, 0] == 5
    assert found[2, 1] == 4
    assert found[1, 1] == 0


def test_all_distances_takes_the_detour():
    found = all_distances(4, {(0, 1): 9, (0, 2): 1, (2, 3): 1, (3, 1): 1})
    assert found[0, 1] == 3
    assert found[1, 0] == float("inf")


@pytest.mark.parametrize(
    ("graph", "order"),
    [({"a": [], "b": ["a"]}, ["a", "b"]), ({"a": ["c"], "b": ["a"], "c": []}, ["c", "a", "b"]), ({}, [])],
)
def test_ordered(graph, order):
    assert ordered(graph) == order


def test_ordered_after_several():
    assert ordered({"app": ["lib", "net"], "lib": ["core"], "net": ["core"], "core": []}) == ["core", "lib", "net", "app"]


def test_spanning_tree():
    assert spanning_tree({(1, 2): 10, (2, 3): 15, (3, 4): 10, (1, 4): 10}) == {(1, 2), (3, 4), (1, 4)}
    assert spanning_tree({(1, 2): 3, (1, 3): 2, (2, 3): 1}) == {(2, 3), (1, 3)}
    edges = {(1, 2): 1, (3, 4): 2, (5, 6): 3, (2, 3): 4, (1, 4): 5, (4, 5): 6, (1, 6): 7}
    assert spanning_tree(edges) == {(1, 2), (3, 4), (5, 6), (2, 3), (4, 5)}
