def diameter(tree):
    """Edges on the longest way between two nodes of a tree given as [child, …] of trees."""
    longest = 0

    def depth(node):
        nonlocal longest
        first = second = 0
        for child in node:
            d = depth(child) + 1
            if d > first:
                first, second = d, first
            elif d > second:
                second = d
        longest = max(longest, first + second)
        return first

    depth(tree)
    return longest
