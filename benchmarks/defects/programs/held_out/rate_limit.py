from collections import deque


def rate_limit(times, limit, span):
    """Which of the requests at these times are let through: at most ``limit`` within any ``span``."""
    allowed = deque()
    verdicts = []
    for now in times:
        while allowed and allowed[0] <= now - span:
            allowed.popleft()
        if len(allowed) < limit:
            allowed.append(now)
            verdicts.append(True)
        else:
            verdicts.append(False)
    return verdicts
