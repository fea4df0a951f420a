def longest_rising(values):
    """The length of the longest subsequence that rises."""
    lengths = []
    for place, value in enumerate(values):
        longest = 1
        for earlier in range(place):
            if values[earlier] < value:
                longest = max(longest, lengths[earlier] + 1)
        lengths.append(longest)
    return max(lengths, default=0)


def largest_sum(values):
    """The largest sum of neighbouring values; none is a choice, too."""
    best = here = 0
    for value in values:
        here = max(0, here + value)
        best = max(best, here)
    return best


def common_subsequence(first, second):
    """A longest text that both contain in this order."""
    if not first or not second:
        return ""
    if first[0] == second[0]:
        return first[0] + common_subsequence(first[1:], second[1:])
    one, other = common_subsequence(first, second[1:]), common_subsequence(first[1:], second)
    return max(one, other, key=len)


def common_length(first, second):
    """The length of the longest common substring."""
    ends = {}
    longest = 0
    for i in range(len(first)):
        for j in range(len(second)):
            if first[i] == second[j]:
                ends[i, j] = ends.get((i - 1, j - 1), 0) + 1
                longest = max(longest, ends[i, j])
    return longest


def edit_distance(first, second):
    """How many letters must be put in, taken out or exchanged."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first):
        following = [i + 1]
        for j, other in enumerate(second):
            if one == other:
                following.append(row[j])
            else:
                following.append(1 + min(row[j], row[j + 1], following[j]))
        row = following
    return row[-1]


def triangle(rows):
    """Pascal's."""
    built = [[1]]
    for number in range(1, rows):
        last = built[-1]
        row = [1]
        for place in range(1, number):
            row.append(last[place - 1] + last[place])
        row.append(1)
        built.append(row)
    return built


def top(values, count):
    """The largest values, largest first, without sorting the others."""
    best = []
    for value in values:
        place = 0
        while place < len(best) and best[place] >= value:
            place += 1
        best.insert(place, value)
        if len(best) > count:
            best.pop()
    return best


def moving_average(values, width):
    """The mean of each window."""
    means = []
    for start in range(len(values) - width + 1):
        window = values[start : start + width]
        means.append(sum(window) / width)
    return means


def rotated(values, places):
    """The list, its last values moved to the front."""
    if not values:
        return []
    places %= len(values)
    return values[-places:] + values[:-places] if places else list(values)
