def shell(values):
    """The values in rising order, by Shell's method."""
    values = list(values)
    gap = len(values) // 2
    while gap > 0:
        for place in range(gap, len(values)):
            value, hole = values[place], place
            while hole >= gap and values[hole - gap] > value:
                values[hole] = values[hole - gap]
                hole -= gap
            values[hole] = value
        gap //= 2
    return values
