def prefix_table(pattern):
    table = [0] * len(pattern)
    k = 0
    for i in range(1, len(pattern)):
        while k > 0 and pattern[k] != pattern[i]:
            k = table[k - 1]
        if pattern[k] == pattern[i]:
            k += 1
        table[i] = k
    return table


def occurrences(text, pattern):
    """Where pattern begins in text, overlapping ones too (Knuth, Morris, Pratt)."""
    if not pattern:
        return []
    table = prefix_table(pattern)
    places = []
    k = 0
    for i, ch in enumerate(text):
        while k > 0 and pattern[k] != ch:
            k = table[k - 1]
        if pattern[k] == ch:
            k += 1
        if k == len(pattern):
            places.append(i - k + 1)
            k = table[k - 1]
    return places
