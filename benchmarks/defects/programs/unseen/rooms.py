def rooms(meetings):
    """The fewest rooms for meetings of [start, end)."""
    moments = []
    for start, end in meetings:
        moments.append((start, 1))
        moments.append((end, -1))
    needed = most = 0
    for _, change in sorted(moments):
        needed += change
        most = max(most, needed)
    return most
