from chunked import chunked, windows


def test_even():
    assert list(chunked("abcdef", 2)) == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_rest():
    assert list(chunked([1, 2, 3], 2)) == [[1, 2], [3]]


def test_empty():
    assert list(chunked([], 3)) == []


def test_lazy():
    def endless():
        n = 0
        while True:
            yield n
            n += 1

    assert next(chunked(endless(), 3)) == [0, 1, 2]


def test_windows():
    assert list(windows([1, 2, 3, 4], 2)) == [(1, 2), (2, 3), (3, 4)]
    assert list(windows("abc", 3)) == [("a", "b", "c")]


def test_window_too_wide():
    assert list(windows("ab", 3)) == []


# hidden


def test_falsy_items():
    assert list(chunked([0, 0, None, False], 3)) == [[0, 0, None], [False]]


def test_windows_of_one():
    assert list(windows([0, 1, 0], 1)) == [(0,), (1,), (0,)]
