import heapq


def cheapest_route(grid):
    """Sum of the costs on the cheapest way from the top left to the bottom right, moving in four directions."""
    height, width = len(grid), len(grid[0])
    best = {(0, 0): grid[0][0]}
    queue = [(grid[0][0], 0, 0)]
    while queue:
        cost, row, column = heapq.heappop(queue)
        if (row, column) == (height - 1, width - 1):
            return cost
        if cost > best[row, column]:
            continue
        for dr, dc in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            r, c = row + dr, column + dc
            if not (0 <= r < height and 0 <= c < width):
                continue
            total = cost + grid[r][c]
            if total < best.get((r, c), float("inf")):
                best[r, c] = total
                heapq.heappush(queue, (total, r, c))
    return None
