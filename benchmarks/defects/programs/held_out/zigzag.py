def zigzag(tree):
    """The values of a tree [value, left, right] level by level, every other level from right to left."""
    levels = []
    row = [tree] if tree else []
    forward = True
    while row:
        values = [node[0] for node in row]
        levels.append(values if forward else values[::-1])
        forward = not forward
        row = [child for node in row for child in node[1:] if child]
    return levels
