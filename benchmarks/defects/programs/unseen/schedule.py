class Job:
    def __init__(self, name):
        self.name = name
        self.before = []
        self.after = []


def schedule(jobs):
    """The jobs in an order in which each comes behind all that go before it."""
    placed = [job for job in jobs if not job.before]
    for job in placed:
        for following in job.after:
            if following not in placed and set(placed).issuperset(following.before):
                placed.append(following)
    return placed
