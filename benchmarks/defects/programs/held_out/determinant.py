def minor(m, skip):
    return [row[:skip] + row[skip + 1:] for row in m[1:]]


def determinant(m):
    if len(m) == 0:
        return 1
    total = 0
    sign = 1
    for j, x in enumerate(m[0]):
        total += sign * x * determinant(minor(m, j))
        sign = -sign
    return total
