def greatest_common_divisor(first, second):
    """The largest number that divides both."""
    if second == 0:
        return first
    return greatest_common_divisor(second, first % second)


def least_common_multiple(first, second):
    """The smallest number that both divide."""
    return first * second // greatest_common_divisor(first, second)
