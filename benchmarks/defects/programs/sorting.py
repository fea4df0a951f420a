def partition_sort(values):
    """Sorted, by parts below and above a pivot."""
    if not values:
        return []
    pivot = values[0]
    below = partition_sort([value for value in values[1:] if value < pivot])
    above = partition_sort([value for value in values[1:] if value >= pivot])
    return below + [pivot] + above


def merge(left, right):
    """Two sorted lists as one."""
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    merged.extend(left[i:])
    merged.extend(right[j:])
    return merged


def merge_sort(values):
    """Sorted, by merging sorted halves."""
    if len(values) <= 1:
        return values
    middle = len(values) // 2
    return merge(merge_sort(values[:middle]), merge_sort(values[middle:]))


def counting_sort(values, limit):
    """Sorted whole numbers below the limit."""
    counts = [0] * limit
    for value in values:
        counts[value] += 1
    ordered = []
    for value, count in enumerate(counts):
        ordered.extend([value] * count)
    return ordered


def insertion_sort(values):
    """Sorted in place, each value moved to the left as far as it goes."""
    for place in range(1, len(values)):
        value = values[place]
        hole = place
        while hole > 0 and values[hole - 1] > value:
            values[hole] = values[hole - 1]
            hole -= 1
        values[hole] = value
    return values
