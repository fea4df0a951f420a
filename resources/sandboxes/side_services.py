"""A sandbox whose commands find their side services running.

Each command starts through ``beside.py``, which starts the services in the command's own tree and namespaces: the
process tier gives every command a network of its own, so there is no other place where all tiers could reach them. The
price is their start at each command; the gain, that nothing outlives its command, whoever is killed. What they keep
in the workspace stays for the next one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from events.faults import Fault, FaultClass
from events.plain_text import plain
from resources.files import Beneath, PathEscapes, PathSpecial, PathTooBig
from resources.sandboxes.protocol import Command, Keeping, Outcome, Reference, Sandbox, Stats, Tier

PLACE = ".moorage/services"
READY_TIMEOUT_S = 60
LOG_KEPT = 2000  # characters of a service's log that go with the fault
_PROGRAM = Path(__file__).with_name("beside.py")
_TIME_UP, _CANNOT_SERVE = 124, 125
_STOP_S = 10.0
_STATE_BYTES = 64_000


class ServiceFailed(Fault):
    """A side service of the template did not start, ended, or was not ready in time."""

    fault_class = FaultClass.CONFIGURATION
    code = "services.failed"
    remedy = "Read the end of its log; mend `services` in the template, or use an image or a host that has the program."


@dataclass(frozen=True, slots=True)
class Service:
    """One program beside the commands. ``port`` is the number that it listens on; None for none."""

    name: str
    command: tuple[str, ...]
    port: int | None = None
    ready: tuple[str, ...] = ()
    ready_timeout_s: int = READY_TIMEOUT_S
    environment: Mapping[str, str] = field(default_factory=dict)


def read(spec: Mapping[str, Any], *, ports: Mapping[str, int]) -> tuple[Service, ...]:
    """The services of a resolved specification, with the ports that were leased for it."""
    return tuple(
        Service(
            name=one["name"],
            command=tuple(one["command"]),
            port=ports.get(one.get("port", "")),
            ready=tuple(one.get("ready", ())),
            ready_timeout_s=one.get("ready_timeout_s", READY_TIMEOUT_S),
            environment=one.get("environment", {}),
        )
        for one in spec.get("services", [])
    )


class Served:
    """Everything is the sandbox's own, but that commands run with the services beside them."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        services: Sequence[Service],
        say: Callable[[str], None],
        clean: Callable[[str], str] = str,
    ) -> None:
        self._sandbox, self._services, self._say = sandbox, tuple(services), say
        self._clean = clean  # takes out of what the inside says what nobody may see
        self.tier: Tier = sandbox.tier
        self.note: str = sandbox.note
        workspace = Path(sandbox.reference()["profile"]["workspace"])
        self._place = workspace / PLACE
        self._files = Beneath(workspace)
        self._told: set[str] = set()

    def reference(self) -> Reference:
        return self._sandbox.reference()

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol. Raises ServiceFailed where the command had not all of its services."""
        self._forget()
        if not self._told:
            names = ", ".join(one.name for one in self._services)
            self._say(f"side services start with each command: {names}")

        def watch() -> bool:
            self._tell()
            return cancelled is not None and cancelled()

        outcome = self._sandbox.run(self._wrapped(command), cancelled=watch)
        self._tell()
        if outcome.exit_code == _TIME_UP and outcome.duration_s >= command.timeout_s:
            return dataclasses.replace(outcome, exit_code=None, timed_out=True)
        if outcome.exit_code == _CANNOT_SERVE or outcome.timed_out:
            self._raise_if_failed(timed_out=outcome.timed_out)
        return outcome

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

    def _wrapped(self, command: Command) -> Command:
        services = [dataclasses.asdict(one) for one in self._services]
        plan = {"place": str(self._place), "timeout_s": command.timeout_s, "services": services}
        words = ("python3", "-I", "-S", "-B", "-c", _PROGRAM.read_text("utf-8"), json.dumps(plan))
        starting_s = sum(one.ready_timeout_s for one in self._services)
        return dataclasses.replace(
            command, argv=(*words, *command.argv), timeout_s=command.timeout_s + starting_s + _STOP_S
        )

    def _forget(self) -> None:
        try:
            self._files.delete(f"{PLACE}/state.json")
        except (FileNotFoundError, PathEscapes, PathSpecial):
            return

    def _tell(self) -> None:
        """Say once that each is ready: what happens at every command is no news."""
        for name, state in self._states():
            if name not in self._told and state.get("phase") == "ready":
                self._told.add(name)
                self._say(f"service {name}: ready after {state.get('seconds')!s:.10} s")

    def _states(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the inside says of our services; hostile like all from there, so only what has the right shape."""
        try:
            found = json.loads(self._files.read(f"{PLACE}/state.json", _STATE_BYTES))
        except (OSError, PathEscapes, PathSpecial, PathTooBig, ValueError, RecursionError):
            return
        if isinstance(found, dict):
            for one in self._services:
                state = found.get(one.name)
                if isinstance(state, dict):
                    yield one.name, state

    def _raise_if_failed(self, *, timed_out: bool) -> None:
        for name, state in self._states():
            if state.get("phase") == "failed":
                why = self._clean(plain(str(state.get("why"))))[:300]
            elif timed_out and state.get("phase") == "starting":
                why = "it was not ready in time"
            else:
                continue
            log = self._log(name)
            self._say(f"service {name}: {why}\n{log}".rstrip())
            raise ServiceFailed(f"service {name}: {why}", service=name, log=log)

    def _log(self, name: str) -> str:
        try:
            text = self._files.read(f"{PLACE}/{name}.log", 2 << 20).decode("utf-8", "replace")
        except (OSError, PathEscapes, PathSpecial, PathTooBig):
            return ""
        return self._clean(text)[-LOG_KEPT:]
