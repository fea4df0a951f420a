def sift(heap, place, size):
    """Let the value at a place sink until its children are no smaller."""
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[place] <= heap[child]:
            break
        heap[place], heap[child] = heap[child], heap[place]
        place = child


def heap(values):
    """The values as a binary heap, smallest first."""
    built = list(values)
    for place in reversed(range(len(built) // 2)):
        sift(built, place, len(built))
    return built
