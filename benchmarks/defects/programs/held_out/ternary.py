def ternary(n):
    """Balanced ternary of an integer: digits 1, 0 and T (for minus one)."""
    if n == 0:
        return "0"
    out = []
    negative = n < 0
    n = abs(n)
    while n:
        n, r = divmod(n, 3)
        if r == 2:
            n += 1
            r = -1
        out.append(-r if negative else r)
    return "".join({1: "1", 0: "0", -1: "T"}[d] for d in reversed(out))
