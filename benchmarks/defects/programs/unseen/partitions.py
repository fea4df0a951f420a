def partitions(total, largest):
    """In how many ways a total is a sum of parts, none above the largest."""
    if total == 0:
        return 1
    if total < 0 or largest == 0:
        return 0
    return partitions(total, largest - 1) + partitions(total - largest, largest)
