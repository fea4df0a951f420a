import heapq
from collections import Counter


def huffman(text):
    """Bits that text takes in a Huffman code made for it."""
    counts = Counter(text)
    if len(counts) <= 1:
        return len(text)
    heap = list(counts.values())
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total
