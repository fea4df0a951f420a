def position(values, wanted):
    """Where the wanted value is in a sorted list, or -1."""
    low, high = 0, len(values) - 1
    while low <= high:
        middle = (low + high) // 2
        if values[middle] == wanted:
            return middle
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return -1


def first_not_below(values, bound):
    """The place of the first value that is not below the bound, in a sorted list."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


def kth_smallest(values, k):
    """The k-th smallest value, from 0."""
    pivot = values[0]
    below = [value for value in values if value < pivot]
    above = [value for value in values if value > pivot]
    equal = len(values) - len(below) - len(above)
    if k < len(below):
        return kth_smallest(below, k)
    if k >= len(below) + equal:
        return kth_smallest(above, k - len(below) - equal)
    return pivot


def square_root(number, precision):
    """The root, by Newton's steps, until its square is near enough."""
    guess = number / 2
    while abs(number - guess**2) > precision:
        guess = 0.5 * (guess + number / guess)
    return guess
