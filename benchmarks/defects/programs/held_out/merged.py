import heapq


def merged(*sources):
    """Merge sorted iterables lazily; what is equal comes in the order of the sources."""
    heap = []
    for index, source in enumerate(sources):
        iterator = iter(source)
        for value in iterator:
            heap.append((value, index, iterator))
            break
    heapq.heapify(heap)
    while heap:
        value, index, iterator = heapq.heappop(heap)
        yield value
        for following in iterator:
            heapq.heappush(heap, (following, index, iterator))
            break
