import pytest

from grids import grouped, hanoi, islands, merged, neighbours, paths, product, spiral, transposed


def test_transposed():
    assert transposed([[1, 2, 3], [4, 5, 6]]) == [[1, 4], [2, 5], [3, 6]]
    assert transposed([]) == []
    assert transposed([[7]]) == [[7]]


def test_product():
    assert product([[1, 2], [3, 4]], [[5, 6], [7, 8]]) == [[19, 22], [43, 50]]
    assert product([[1, 2, 3]], [[1], [2], [3]]) == [[14]]
    assert product([[2], [3]], [[4, 5]]) == [[8, 10], [12, 15]]


def test_spiral():
    assert spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [1, 2, 3, 6, 9, 8, 7, 4, 5]
    assert spiral([[1, 2], [3, 4], [5, 6]]) == [1, 2, 4, 6, 5, 3]
    assert spiral([]) == []


GRID = [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(("row", "column", "count"), [(0, 0, 2), (1, 1, 4), (2, 2, 1), (0, 1, 4), (2, 0, 2)])
def test_neighbours(row, column, count):
    assert neighbours(GRID, row, column) == count


def test_islands():
    assert islands(GRID) == 3
    assert islands([[0]]) == 0
    assert islands([[1, 1], [1, 1]]) == 1
    assert islands([[1, 0], [0, 1]]) == 2
    assert islands([[1, 0, 1], [1, 1, 1]]) == 1


@pytest.mark.parametrize(("rows", "columns", "ways"), [(1, 1, 1), (2, 2, 2), (3, 3, 6), (3, 7, 28), (1, 5, 1)])
def test_paths(rows, columns, ways):
    assert paths(rows, columns) == ways


def test_hanoi():
    assert hanoi(0) == []
    assert hanoi(1) == [(1, 3)]
    assert hanoi(2) == [(1, 2), (1, 3), (2, 3)]
    assert len(hanoi(5)) == 31
    assert hanoi(2, 3, 1) == [(3, 2), (3, 1), (2, 1)]


@pytest.mark.parametrize(
    ("intervals", "wanted"), [([], []), ([(1, 3), (2, 6)], [[1, 6]]), ([(1, 2), (3, 4)], [[1, 2], [3, 4]]), ([(1, 9), (2, 3)], [[1, 9]]), ([(4, 5), (1, 4)], [[1, 5]])]
)
def test_merged(intervals, wanted):
    assert merged(intervals) == wanted


def test_grouped():
    assert grouped(["tea", "eat", "bat", "ate"]) == [["bat"], ["tea", "eat", "ate"]]
    assert grouped([]) == []
    assert grouped(["a", "b", "a"]) == [["a", "a"], ["b"]]
