def queens(n):
    """In how many ways n queens can stand on a board of n × n without attack."""
    columns, up, down = set(), set(), set()

    def place(row):
        if row == n:
            return 1
        count = 0
        for col in range(n):
            if col in columns or row + col in up or row - col in down:
                continue
            columns.add(col)
            up.add(row + col)
            down.add(row - col)
            count += place(row + 1)
            columns.remove(col)
            up.remove(row + col)
            down.remove(row - col)
        return count

    return place(0)
