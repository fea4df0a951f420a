class Peekable:
    """An iterator that lets one look at the next item."""

    _NOTHING = object()

    def __init__(self, items):
        self._items = iter(items)
        self._held = self._NOTHING

    def __iter__(self):
        return self

    def __next__(self):
        if self._held is not self._NOTHING:
            item, self._held = self._held, self._NOTHING
            return item
        return next(self._items)

    def peek(self, default=None):
        if self._held is self._NOTHING:
            try:
                self._held = next(self._items)
            except StopIteration:
                return default
        return self._held

    def __bool__(self):
        return self.peek(self._NOTHING) is not self._NOTHING


def runs(numbers):
    """Split into runs of numbers that follow each other: 1 2 3 7 8 gives [1, 3] and [7, 8]."""
    source = Peekable(numbers)
    for first in source:
        last = first
        while source and source.peek() == last + 1:
            last = next(source)
        yield [first, last]
