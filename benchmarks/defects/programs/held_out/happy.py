def digits(n):
    while n > 0:
        n, digit = divmod(n, 10)
        yield digit


def happy(n):
    """Does the repeated sum of the squares of the digits end in 1?"""
    seen = set()
    while n != 1:
        if n in seen:
            return False
        seen.add(n)
        n = sum(d ** 2 for d in digits(n))
    return True
