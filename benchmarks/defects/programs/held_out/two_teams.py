from collections import deque


def two_teams(rivals):
    """Can all be put in two teams so that no rivals are in the same one? ``rivals`` maps each to a list."""
    team = {}
    for person in rivals:
        if person in team:
            continue
        team[person] = 0
        pending = deque([person])
        while pending:
            current = pending.popleft()
            for other in rivals[current]:
                if other not in team:
                    team[other] = 1 - team[current]
                    pending.append(other)
                elif team[other] == team[current]:
                    return False
    return True
