def polynomial(coefficients):
    """Text of a polynomial, the highest power last in the list: [1, 0, -3] is ``-3x^2 + 1``."""
    terms = []
    for power in range(len(coefficients) - 1, -1, -1):
        c = coefficients[power]
        if c == 0:
            continue
        size = abs(c)
        if power == 0:
            body = str(size)
        elif power == 1:
            body = "x" if size == 1 else f"{size}x"
        else:
            body = f"x^{power}" if size == 1 else f"{size}x^{power}"
        if not terms:
            terms.append("-" + body if c < 0 else body)
        else:
            terms.append(("- " if c < 0 else "+ ") + body)
    return " ".join(terms) or "0"
