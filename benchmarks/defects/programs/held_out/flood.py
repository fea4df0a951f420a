def flood(picture, row, col, colour):
    """Paint the area of equal colour around a point."""
    old = picture[row][col]
    if old == colour:
        return picture
    todo = [(row, col)]
    while todo:
        r, c = todo.pop()
        if r < 0 or r >= len(picture) or c < 0 or c >= len(picture[0]):
            continue
        if picture[r][c] != old:
            continue
        picture[r][c] = colour
        todo += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return picture
