def next_order(values):
    """The next permutation in lexical order, or None after the last."""
    order = list(values)
    for i in range(len(order) - 2, -1, -1):
        if order[i] < order[i + 1]:
            for j in range(len(order) - 1, i, -1):
                if order[i] < order[j]:
                    order[i], order[j] = order[j], order[i]
                    order[i + 1 :] = reversed(order[i + 1 :])
                    return order
    return None


def subsets(values):
    """Every subset, those without the first value first."""
    if not values:
        return [[]]
    first, *rest = values
    smaller = subsets(rest)
    return smaller + [[first] + subset for subset in smaller]


def choices(values, count):
    """Every way to choose so many, in order."""
    if count == 0:
        return [[]]
    if len(values) < count:
        return []
    with_first = [[values[0]] + rest for rest in choices(values[1:], count - 1)]
    return with_first + choices(values[1:], count)
