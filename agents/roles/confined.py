"""A workbench for one step of a plan that is carried out beside others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from agents.engines.protocol import Copy
from agents.providers import ModelCancelled
from events.faults import Fault, FaultClass
from resources.sandboxes.protocol import Outcome

POLL_S = 0.1


class OutsideStep(Fault):
    """The step changes a file that it did not name."""

    fault_class = FaultClass.PERMANENT
    code = "step.outside"
    remedy = (
        "Leave it alone and do what can be done in this step's own files. What is still missing then, say in Done: "
        "it is done afterwards, once all of these steps are finished."
    )


class Confined:
    """The step's own copy of the checkout: read all, change the step's files alone.

    Commands of steps that run beside each other take turns: two test runs at one time would fight for ports, services,
    temporary files and the berth's share of the processor. ``refused`` are the files that it was not let change.
    """

    def __init__(
        self, copy: Copy, *, files: Collection[str], turn: threading.Lock, stopped: Callable[[], bool]
    ) -> None:
        self.copy, self.files_of_step = copy, files
        self.refused: set[str] = set()
        self.ran = False
        self._turn, self._stopped = turn, stopped

    def read(self, path: str, *, limit_bytes: int = 2_000_000) -> bytes:
        return self.copy.read(path, limit_bytes=limit_bytes)

    def write(self, path: str, content: bytes) -> None:
        self._check(path)
        self.copy.write(path, content)

    def delete(self, path: str) -> None:
        self._check(path)
        self.copy.delete(path)

    def exists(self, path: str) -> bool:
        return self.copy.exists(path)

    def files(self) -> Sequence[str]:
        return self.copy.files()

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        while not self._turn.acquire(timeout=POLL_S):
            if self.cancelled():
                raise ModelCancelled("The operation was cancelled.")
        try:
            self.ran = True
            return self.copy.run(argv, timeout_s=timeout_s, stdin=stdin)
        finally:
            self._turn.release()

    def say(self, line: str) -> None:
        self.copy.say(line)

    def cancelled(self) -> bool:
        return self._stopped() or self.copy.cancelled()

    def copied(self, name: str) -> AbstractContextManager[Copy]:
        return self.copy.copied(name)

    def _check(self, path: str) -> None:
        if path not in self.files_of_step:
            self.refused.add(path)
            mine = ", ".join(sorted(self.files_of_step)[:20])
            raise OutsideStep(
                f"{path} is none of the files of this step ({mine}), and other steps are at work at the same time."
            )
