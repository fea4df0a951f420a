class Link:
    def __init__(self, value, next=None):
        self.value = value
        self.next = next


def build(values):
    head = None
    for value in reversed(values):
        head = Link(value, head)
    return head


def values(head):
    result = []
    while head is not None:
        result.append(head.value)
        head = head.next
    return result


def without_nth_last(head, n):
    """The list without its n-th last link (1 is the last)."""
    anchor = Link(None, head)
    ahead = behind = anchor
    for _ in range(n):
        ahead = ahead.next
    while ahead.next is not None:
        ahead = ahead.next
        behind = behind.next
    behind.next = behind.next.next
    return anchor.next


def swapped_in_pairs(head):
    """The list with each two neighbours exchanged."""
    anchor = Link(None, head)
    before = anchor
    while before.next is not None and before.next.next is not None:
        first = before.next
        second = first.next
        first.next = second.next
        second.next = first
        before.next = second
        before = first
    return anchor.next
