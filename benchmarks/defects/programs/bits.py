def count_ones(number):
    """How many bits of the number are set."""
    count = 0
    while number:
        number &= number - 1
        count += 1
    return count


def highest_power(number):
    """The largest power of two that is not above the number."""
    power = 1
    while power * 2 <= number:
        power = power << 1
    return power
