def sums(candidates, target):
    """All multisets of candidates (each may be used again) with the sum target."""
    candidates = sorted(set(candidates))
    found = []

    def extend(chosen, start, remaining):
        if remaining == 0:
            found.append(chosen[:])
            return
        for i in range(start, len(candidates)):
            if candidates[i] > remaining:
                break
            chosen.append(candidates[i])
            extend(chosen, i, remaining - candidates[i])
            chosen.pop()

    extend([], 0, target)
    return found
