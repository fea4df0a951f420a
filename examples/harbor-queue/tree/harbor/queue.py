"""The line of ships that wait for a berth."""


class UnknownShip(LookupError):
    """No ship of that name waits here."""


class Queue:
    """Ships in the order in which they will be called. Names are unique."""

    def __init__(self) -> None:
        self._tide_bound: list[str] = []
        self._others: list[str] = []

    def arrive(self, ship: str, *, tide_bound: bool = False) -> None:
        """Join the line; a tide-bound ship goes before all that are not."""
        if ship in self.line():
            raise ValueError(f"{ship} is waiting already")
        (self._tide_bound if tide_bound else self._others).append(ship)

    def line(self) -> list[str]:
        """Everyone who waits, first to last."""
        return self._tide_bound + self._others

    def call_next(self) -> str | None:
        """The ship that a free berth goes to, which leaves the line; None if nobody waits."""
        for ships in (self._tide_bound, self._others):
            if ships:
                return ships.pop(0)
        return None

    def position(self, ship: str) -> int:
        """The place in the line, from 1 for the ship that is called next."""
        if ship not in self.line():
            raise UnknownShip(ship)
        return self.line().index(ship) + 1
