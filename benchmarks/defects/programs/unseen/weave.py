class Link:
    def __init__(self, value, following=None):
        self.value = value
        self.following = following


def weave(first, second):
    """Two sorted chains become one sorted chain."""
    head = tail = Link(None)
    while first and second:
        if first.value <= second.value:
            tail.following, first = first, first.following
        else:
            tail.following, second = second, second.following
        tail = tail.following
    tail.following = first or second
    return head.following
