def flag(values, pivot):
    """Put what is smaller than pivot first, then what equals it, then the rest; in place, returned for comfort."""
    small = i = 0
    large = len(values) - 1
    while i <= large:
        if values[i] < pivot:
            values[i], values[small] = values[small], values[i]
            small += 1
            i += 1
        elif values[i] > pivot:
            values[i], values[large] = values[large], values[i]
            large -= 1
        else:
            i += 1
    return [sorted(values[:small]), values[small:i], sorted(values[i:])]
