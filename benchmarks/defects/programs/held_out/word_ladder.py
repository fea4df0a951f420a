from collections import deque


def neighbours(word, words):
    for candidate in words:
        if len(candidate) == len(word) and sum(a != b for a, b in zip(word, candidate)) == 1:
            yield candidate


def word_ladder(begin, end, words):
    """Length of the shortest chain from begin to end, both counted, changing a letter at a time; 0 if none."""
    remaining = set(words)
    if end not in remaining:
        return 0
    queue = deque([(begin, 1)])
    while queue:
        word, length = queue.popleft()
        if word == end:
            return length
        for following in list(neighbours(word, remaining)):
            remaining.discard(following)
            queue.append((following, length + 1))
    return 0
