def runs(text):
    """Run-length encoding: a list of [character, count]."""
    if not text:
        return []
    groups = []
    last, count = text[0], 1
    for character in text[1:]:
        if character == last:
            count += 1
        else:
            groups.append([last, count])
            last, count = character, 1
    groups.append([last, count])
    return groups
