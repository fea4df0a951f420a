def anagrams(words):
    """Words that are made of the same letters, in groups, in order of appearance."""
    groups = {}
    for word in words:
        key = "".join(sorted(word))
        groups.setdefault(key, []).append(word)
    return list(groups.values())
