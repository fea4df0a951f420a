def spiral(grid):
    """The values of a grid in the order of an inward spiral."""
    found = []
    top, bottom = 0, len(grid) - 1
    left, right = 0, len(grid[0]) - 1 if grid else -1
    while top <= bottom and left <= right:
        for column in range(left, right + 1):
            found.append(grid[top][column])
        for row in range(top + 1, bottom + 1):
            found.append(grid[row][right])
        if top < bottom and left < right:
            for column in range(right - 1, left - 1, -1):
                found.append(grid[bottom][column])
            for row in range(bottom - 1, top, -1):
                found.append(grid[row][left])
        top, bottom, left, right = top + 1, bottom - 1, left + 1, right - 1
    return found
