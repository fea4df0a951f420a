def greater(values):
    """For each value the next greater one behind it; -1 where there is none."""
    result = [-1] * len(values)
    waiting = []
    for place, value in enumerate(values):
        while waiting and values[waiting[-1]] < value:
            result[waiting.pop()] = value
        waiting.append(place)
    return result
