def staircase(matrix, target):
    """[row, column] of target in a matrix whose rows and columns ascend, or None."""
    if not matrix or not matrix[0]:
        return None
    row = 0
    col = len(matrix[0]) - 1
    while row < len(matrix) and col >= 0:
        value = matrix[row][col]
        if value == target:
            return [row, col]
        elif value > target:
            col -= 1
        else:
            row += 1
    return None
