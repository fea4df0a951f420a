from functools import total_ordering


@total_ordering
class Version:
    """A version such as 1.4.2 or 1.4.2-rc1; a release candidate comes before its release."""

    def __init__(self, text):
        core, _, self.pre = text.partition("-")
        self.numbers = [int(part) for part in core.split(".")]
        while len(self.numbers) > 1 and self.numbers[-1] == 0:
            self.numbers.pop()

    def key(self):
        return (self.numbers, not self.pre, self.pre)

    def __eq__(self, other):
        return self.key() == other.key()

    def __lt__(self, other):
        return self.key() < other.key()


def latest(texts, stable=False):
    candidates = [text for text in texts if not (stable and Version(text).pre)]
    return max(candidates, key=Version, default=None)
