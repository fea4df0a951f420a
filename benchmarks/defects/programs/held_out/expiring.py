class Expiring:
    """A cache whose entries are forgotten a time after they were last written; at most ``limit`` are kept."""

    def __init__(self, ttl, limit, clock):
        self.ttl = ttl
        self.limit = limit
        self.clock = clock
        self.entries = {}

    def put(self, key, value):
        self.entries.pop(key, None)
        self.sweep()
        while len(self.entries) >= self.limit:
            oldest = next(iter(self.entries))
            del self.entries[oldest]
        self.entries[key] = (value, self.clock() + self.ttl)

    def get(self, key, default=None):
        if key not in self.entries:
            return default
        value, expires = self.entries[key]
        if self.clock() >= expires:
            del self.entries[key]
            return default
        return value

    def sweep(self):
        now = self.clock()
        for key in [key for key, (_, expires) in self.entries.items() if expires <= now]:
            del self.entries[key]

    def __len__(self):
        self.sweep()
        return len(self.entries)
