def rotate(square, times=1):
    """Turn a square matrix clockwise, in place, so many times."""
    n = len(square)
    for _ in range(times % 4):
        for ring in range(n // 2):
            last = n - 1 - ring
            for i in range(ring, last):
                offset = i - ring
                top = square[ring][i]
                square[ring][i] = square[last - offset][ring]
                square[last - offset][ring] = square[last][last - offset]
                square[last][last - offset] = square[i][last]
                square[i][last] = top
    return square
