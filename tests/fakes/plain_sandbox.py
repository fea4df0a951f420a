"""A sandbox made of nothing: real processes in a real directory, for tests of what runs in one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from resources.sandboxes.protocol import Command, Keeping, Outcome, Reference, Stats, Tier


class PlainSandbox:
    """Runs each command as it is, with only PATH and HOME from outside; remembers what it ran."""

    tier = Tier.BARE
    note = "isolates nothing"

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.ran: list[tuple[str, ...]] = []
        self.before: Callable[[Command], None] | None = None

    def reference(self) -> Reference:
        return {"tier": self.tier.value, "name": "plain", "workspace": str(self.workspace)}

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        if self.before is not None:
            self.before(command)
        self.ran.append(command.argv)
        started = time.monotonic()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.workspace), **command.environment}
        if cancelled is not None and cancelled():
            return Outcome(None, b"", b"", False, False, True, 0.0, self.tier)
        try:
            done = subprocess.run(
                command.argv,
                cwd=command.cwd or self.workspace,
                env=environment,
                input=command.stdin,
                capture_output=True,
                timeout=command.timeout_s,
                check=False,
            )
        except FileNotFoundError:
            return Outcome(127, b"", b"not found", False, False, False, 0.0, self.tier)
        except subprocess.TimeoutExpired:
            return Outcome(None, b"", b"", False, True, False, command.timeout_s, self.tier)
        return Outcome(
            done.returncode,
            done.stdout[: command.output_limit_bytes],
            done.stderr[: command.output_limit_bytes],
            len(done.stdout) > command.output_limit_bytes,
            False,
            False,
            time.monotonic() - started,
            self.tier,
        )

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        raise OSError("a plain sandbox has no terminals")

    def stats(self) -> Stats:
        return Stats(None, None, None)

    def alive(self) -> bool:
        return self.workspace.is_dir()

    def close(self) -> None:
        return
