class Link:
    """One place of a linked list."""

    def __init__(self, value, following=None):
        self.value = value
        self.following = following


def reversed_chain(link):
    """The same links, the other way round."""
    previous = None
    while link is not None:
        following = link.following
        link.following = previous
        previous = link
        link = following
    return previous


def has_loop(link):
    """Whether the chain comes back to itself."""
    slow = fast = link
    while fast is not None and fast.following is not None:
        slow = slow.following
        fast = fast.following.following
        if slow is fast:
            return True
    return False


def values_of(link):
    """The values in order."""
    values = []
    while link is not None:
        values.append(link.value)
        link = link.following
    return values


class Tree:
    """A binary search tree."""

    def __init__(self):
        self.root = None

    def insert(self, key):
        """Put a key in; keys that are there stay once."""
        if self.root is None:
            self.root = [key, None, None]
            return
        node = self.root
        while node[0] != key:
            side = 1 if key < node[0] else 2
            if node[side] is None:
                node[side] = [key, None, None]
            node = node[side]

    def keys(self):
        """All keys, sorted."""
        found = []

        def walk(node):
            if node is not None:
                walk(node[1])
                found.append(node[0])
                walk(node[2])

        walk(self.root)
        return found

    def height(self):
        """The number of levels."""

        def below(node):
            return 0 if node is None else 1 + max(below(node[1]), below(node[2]))

        return below(self.root)


class Recent:
    """A cache that forgets what was not asked for the longest time."""

    def __init__(self, size):
        self.size = size
        self.entries = {}

    def get(self, key):
        """The value, or None."""
        if key not in self.entries:
            return None
        value = self.entries.pop(key)
        self.entries[key] = value
        return value

    def put(self, key, value):
        """Keep it; the oldest goes when there is no room."""
        self.entries.pop(key, None)
        if len(self.entries) >= self.size:
            oldest = next(iter(self.entries))
            del self.entries[oldest]
        self.entries[key] = value


class Account:
    """Money that is never below zero."""

    def __init__(self, balance=0):
        self.balance = balance
        self.history = []

    def deposit(self, amount):
        """Put money in."""
        if amount <= 0:
            raise ValueError("nothing to put in")
        self.balance += amount
        self.history.append(amount)

    def withdraw(self, amount):
        """Take money out."""
        if amount > self.balance:
            raise ValueError("not so much there")
        self.balance -= amount
        self.history.append(-amount)

    def transfer(self, other, amount):
        """Give money to another account."""
        self.withdraw(amount)
        other.deposit(amount)
