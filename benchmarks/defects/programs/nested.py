def flattened(values):
    """All that is not a list, in order."""
    for value in values:
        if isinstance(value, list):
            yield from flattened(value)
        else:
            yield value


def depth(values):
    """How deeply lists are nested; 1 for a flat one."""
    deepest = 0
    for value in values:
        if isinstance(value, list):
            deepest = max(deepest, depth(value))
    return deepest + 1
