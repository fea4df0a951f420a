def life(cells, generations):
    """Conway's game of life on an endless board: the living cells, sorted, after so many generations."""
    alive = {tuple(cell) for cell in cells}
    for _ in range(generations):
        counts = {}
        for x, y in alive:
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    if dx or dy:
                        place = (x + dx, y + dy)
                        counts[place] = counts.get(place, 0) + 1
        alive = {place for place, count in counts.items() if count == 3 or (count == 2 and place in alive)}
    return sorted(list(cell) for cell in alive)
