MOVES = [(1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2)]


def knight_moves(size, start, goal):
    """Fewest moves of a knight from start to goal on a board of size × size, -1 if there are none."""
    start, goal = tuple(start), tuple(goal)
    frontier = {start}
    visited = {start}
    steps = 0
    while frontier:
        if goal in frontier:
            return steps
        reached = set()
        for x, y in frontier:
            for dx, dy in MOVES:
                square = (x + dx, y + dy)
                if all(0 <= part < size for part in square) and square not in visited:
                    reached.add(square)
        visited |= reached
        frontier = reached
        steps += 1
    return -1
