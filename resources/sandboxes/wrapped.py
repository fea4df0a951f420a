"""What adds one thing to a sandbox and leaves the rest as it is."""

from __future__ import annotations

from collections.abc import Callable

from resources.sandboxes.protocol import Command, Keeping, Outcome, Reference, Sandbox, Stats, Tier


class Wrapped:
    """A sandbox that is another one in everything; a subclass says in what it is not."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.tier: Tier = sandbox.tier
        self.note: str = sandbox.note

    def reference(self) -> Reference:
        """See the protocol, here and below."""
        return self._sandbox.reference()

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        return self._sandbox.run(command, cancelled=cancelled)

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        return self._sandbox.spawn_pty(command, columns=columns, rows=rows, keeping=keeping)

    def stats(self) -> Stats:
        return self._sandbox.stats()

    def alive(self) -> bool:
        return self._sandbox.alive()

    def close(self) -> None:
        self._sandbox.close()
