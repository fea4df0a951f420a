"""What is typed while control of a terminal is not there: kept until it is, or dropped with a word. Pure."""

from __future__ import annotations

from collections.abc import Collection

MOST_KEPT = 4096  # bytes: what a person types ahead; a longer paste is cut nowhere but dropped whole


class EarlyKeys:
    """Keystrokes that wait for control, and the epochs in which it follows on what the person saw when they typed.

    Control in any other epoch means that somebody else may have typed in between: then the keys are not sent.
    """

    def __init__(self) -> None:
        self._keys = bytearray()
        self._too_many = False
        self._following: frozenset[int] = frozenset()

    def follow(self, epochs: Collection[int]) -> None:
        """Only control in one of these follows on what is seen now."""
        self._following = frozenset(epoch & 0xFFFF_FFFF for epoch in epochs)

    def keep(self, data: bytes) -> None:
        """Typed, and not to be sent yet."""
        self._too_many = self._too_many or len(self._keys) + len(data) > MOST_KEPT
        self._keys += data[: MOST_KEPT - len(self._keys)]

    def take(self, epoch: int) -> tuple[bytes, str]:
        """Control is here: the keys to send, or why those that were typed are not sent."""
        if epoch not in self._following:
            return b"", self.drop("the terminal may have been in other hands meanwhile")
        if self._too_many:
            return b"", self.drop("it was too much")
        keys = bytes(self._keys)
        self.drop("")
        return keys, ""

    def drop(self, why: str) -> str:
        """Forget them; what is to be said of that, nothing where there were none."""
        had, self._too_many = bool(self._keys), False
        self._keys.clear()
        return f"what you typed meanwhile was not sent: {why}" if had else ""
