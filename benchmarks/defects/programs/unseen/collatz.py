def collatz(number):
    """The numbers from this one down to 1 by the rule of Collatz."""
    path = [number]
    while number != 1:
        if number % 2 == 0:
            number = number // 2
        else:
            number = 3 * number + 1
        path.append(number)
    return path
