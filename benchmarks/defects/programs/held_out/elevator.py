def elevator(start, calls):
    """The floors in the order in which they are served: up first, as far as there are calls, then down."""
    above = sorted({floor for floor in calls if floor >= start})
    below = sorted({floor for floor in calls if floor < start}, reverse=True)
    return above + below


def travelled(start, calls):
    """Floors passed on the way."""
    distance = 0
    position = start
    for floor in elevator(start, calls):
        distance += abs(floor - position)
        position = floor
    return distance
