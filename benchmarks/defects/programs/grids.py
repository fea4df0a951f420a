def transposed(rows):
    """Columns as rows."""
    return [[row[place] for row in rows] for place in range(len(rows[0]))] if rows else []


def product(left, right):
    """The product of two matrices."""
    result = [[0] * len(right[0]) for _ in left]
    for i in range(len(left)):
        for j in range(len(right[0])):
            for k in range(len(right)):
                result[i][j] += left[i][k] * right[k][j]
    return result


def spiral(rows):
    """The values from outside to inside, clockwise."""
    rows = [list(row) for row in rows]
    order = []
    while rows:
        order.extend(rows.pop(0))
        rows = [list(column) for column in zip(*rows)][::-1]
    return order


def neighbours(grid, row, column):
    """How many of the up to eight cells around are set."""
    count = 0
    for r in range(max(0, row - 1), min(len(grid), row + 2)):
        for c in range(max(0, column - 1), min(len(grid[0]), column + 2)):
            if (r, c) != (row, column) and grid[r][c]:
                count += 1
    return count


def islands(grid):
    """How many groups of set cells there are, connected by their sides."""
    seen = set()
    count = 0
    for row in range(len(grid)):
        for column in range(len(grid[0])):
            if grid[row][column] and (row, column) not in seen:
                count += 1
                waiting = [(row, column)]
                while waiting:
                    r, c = waiting.pop()
                    if (r, c) in seen or not (0 <= r < len(grid) and 0 <= c < len(grid[0])) or not grid[r][c]:
                        continue
                    seen.add((r, c))
                    waiting += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return count


def paths(rows, columns):
    """How many ways lead from one corner to the other, right and down only."""
    ways = [[1] * columns for _ in range(rows)]
    for row in range(1, rows):
        for column in range(1, columns):
            ways[row][column] = ways[row - 1][column] + ways[row][column - 1]
    return ways[rows - 1][columns - 1]


def hanoi(height, start=1, end=3):
    """The moves that bring a tower from one peg to another."""
    moves = []
    if height > 0:
        spare = 6 - start - end
        moves += hanoi(height - 1, start, spare)
        moves.append((start, end))
        moves += hanoi(height - 1, spare, end)
    return moves


def merged(intervals):
    """Intervals that touch or overlap, as one."""
    joined = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return joined


def grouped(words):
    """Words of the same letters, together."""
    groups = {}
    for word in words:
        key = "".join(sorted(word))
        groups.setdefault(key, []).append(word)
    return sorted(groups.values())
