from functools import lru_cache


def chain_order(sizes):
    """Fewest multiplications for a chain of matrices; matrix i is sizes[i] × sizes[i + 1]."""

    @lru_cache(maxsize=None)
    def cost(first, last):
        if first == last:
            return 0
        return min(
            cost(first, cut) + cost(cut + 1, last) + sizes[first] * sizes[cut + 1] * sizes[last + 1]
            for cut in range(first, last)
        )

    if len(sizes) < 2:
        return 0
    return cost(0, len(sizes) - 2)
