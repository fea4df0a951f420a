class Ring:
    """A queue of bounded size in an array; what is too much pushes out the oldest."""

    def __init__(self, size):
        self._slots = [None] * size
        self._start = 0
        self._count = 0

    def push(self, item):
        end = (self._start + self._count) % len(self._slots)
        self._slots[end] = item
        if self._count == len(self._slots):
            self._start = (self._start + 1) % len(self._slots)
        else:
            self._count += 1

    def pop(self):
        if not self._count:
            raise IndexError("empty")
        item = self._slots[self._start]
        self._slots[self._start] = None
        self._start = (self._start + 1) % len(self._slots)
        self._count -= 1
        return item

    def __len__(self):
        return self._count

    def __getitem__(self, i):
        if not -self._count <= i < self._count:
            raise IndexError(i)
        if i < 0:
            i += self._count
        return self._slots[(self._start + i) % len(self._slots)]
