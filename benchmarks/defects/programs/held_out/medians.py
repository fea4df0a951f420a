import heapq


def medians(numbers):
    """The median after each number."""
    low, high = [], []  # a max-heap (negated) of the smaller half, a min-heap of the larger
    result = []
    for x in numbers:
        if low and x > -low[0]:
            heapq.heappush(high, x)
        else:
            heapq.heappush(low, -x)
        if len(low) > len(high) + 1:
            heapq.heappush(high, -heapq.heappop(low))
        elif len(high) > len(low):
            heapq.heappush(low, -heapq.heappop(high))
        if len(low) > len(high):
            result.append(-low[0])
        else:
            result.append((high[0] - low[0]) / 2)
    return result
