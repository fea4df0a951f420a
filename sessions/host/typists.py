"""How much of what each typist typed the program was given, so that what a broken connection swallowed is typed once.

A typist is a number that a client thinks of and keeps through its reconnections. What counts is a beginning of all that
it typed: where something was refused and what came later was not, the typist is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_TYPISTS = 64


class Typists:
    """Those who typed last into one terminal."""

    def __init__(self) -> None:
        self._taken: OrderedDict[bytes, int] = OrderedDict()

    def meet(self, typist: bytes) -> tuple[int, bool]:
        """How many bytes of theirs were taken, and whether they were known; from now on they are."""
        known = typist in self._taken
        taken = self._taken.setdefault(typist, 0)
        self._taken.move_to_end(typist)
        while len(self._taken) > MOST_TYPISTS:
            self._taken.popitem(last=False)
        return taken, known

    def took(self, typist: bytes, count: int) -> None:
        """So many bytes more. Of somebody who is not known nothing is counted."""
        if typist in self._taken:
            self._taken[typist] += count

    def forget(self, typist: bytes) -> None:
        """Something of theirs is missing amid what was taken: no number says what."""
        self._taken.pop(typist, None)

    def pack(self) -> dict[str, int]:
        """For another process of ours."""
        return {typist.hex(): taken for typist, taken in self._taken.items()}

    def unpack(self, packed: dict[str, int]) -> None:
        """Go on where another process left off."""
        self._taken = OrderedDict((bytes.fromhex(typist), taken) for typist, taken in packed.items())
