import pytest

from sorting import counting_sort, insertion_sort, merge, merge_sort, partition_sort

LISTS = [[], [5], [2, 1], [3, 3, 1], [5, 4, 1, 2, 6, 7, 3], [1, 2, 3, 4], [9, 0, 9, 8, 0, 1]]


@pytest.mark.parametrize("values", LISTS)
def test_partition_sort(values):
    assert partition_sort(list(values)) == sorted(values)


@pytest.mark.parametrize("values", LISTS)
def test_merge_sort(values):
    assert merge_sort(list(values)) == sorted(values)


def test_merge():
    assert merge([1, 4, 9], [2, 3, 10, 11]) == [1, 2, 3, 4, 9, 10, 11]
    assert merge([], [1]) == [1]
    assert merge([2], []) == [2]


@pytest.mark.parametrize("values", LISTS)
def test_counting_sort(values):
    assert counting_sort(list(values), 10) == sorted(values)


@pytest.mark.parametrize("values", LISTS)
def test_insertion_sort(values):
    assert insertion_sort(list(values)) == sorted(values)
