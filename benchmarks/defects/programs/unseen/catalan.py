def catalan(count):
    """The first numbers of Catalan."""
    numbers = [1]
    while len(numbers) < count:
        size = len(numbers)
        numbers.append(sum(numbers[left] * numbers[size - 1 - left] for left in range(size)))
    return numbers[:count]
