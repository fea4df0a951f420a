def robber(loot):
    """The places of the houses that bring most when no two next to each other may be chosen."""
    best = [0] * (len(loot) + 2)
    for i in range(len(loot) - 1, -1, -1):
        best[i] = max(best[i + 1], loot[i] + best[i + 2])
    chosen = []
    i = 0
    while i < len(loot):
        if best[i] == best[i + 1]:
            i += 1
        else:
            chosen.append(i)
            i += 2
    return chosen
