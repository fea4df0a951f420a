def josephus(people, step):
    """The place of the last one standing, counted from zero."""
    survivor = 0
    for size in range(2, people + 1):
        survivor = (survivor + step) % size
    return survivor
