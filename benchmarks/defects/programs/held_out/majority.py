def majority(votes):
    """What more than half voted for (Boyer and Moore), or None."""
    candidate, lead = None, 0
    for vote in votes:
        if lead == 0:
            candidate = vote
            lead = 1
        elif vote == candidate:
            lead += 1
        else:
            lead -= 1
    if votes.count(candidate) * 2 > len(votes):
        return candidate
    return None
