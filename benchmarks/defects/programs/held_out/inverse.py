def egcd(a, b):
    if b == 0:
        return a, 1, 0
    g, x, y = egcd(b, a % b)
    return g, y, x - (a // b) * y


def inverse(number, modulus):
    """The inverse of number modulo modulus, None if there is none."""
    g, x, _ = egcd(number % modulus, modulus)
    if g != 1:
        return None
    return x % modulus
