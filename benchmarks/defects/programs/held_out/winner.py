def winner(board):
    """"X", "O", "draw" or "open" of a board of three texts of three characters."""
    lines = list(board)
    lines += ["".join(row[i] for row in board) for i in range(3)]
    lines.append("".join(board[i][i] for i in range(3)))
    lines.append("".join(board[i][2 - i] for i in range(3)))
    for player in "XO":
        if player * 3 in lines:
            return player
    if any(" " in row for row in board):
        return "open"
    return "draw"
