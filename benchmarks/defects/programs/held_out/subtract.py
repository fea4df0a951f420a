def subtract(whole, holes):
    """What is left of the interval [start, end) without the sorted, disjoint holes."""
    start, end = whole
    left = []
    for low, high in holes:
        if high <= start:
            continue
        if low >= end:
            break
        if low > start:
            left.append([start, low])
        start = high
    if start < end:
        left.append([start, end])
    return left
