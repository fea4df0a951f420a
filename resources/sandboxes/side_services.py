"""A sandbox whose commands find their side services running.

The services live with the berth: started once, by the first command that needs them, in a command of their own that a
keeper on the host holds (``keeper.py``); watched and started again inside (``serving.py``); ended when the berth is
closed. In the process tier each command has a network of its own: there the ports are carried over unix sockets in the
workspace.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from events.faults import Fault, FaultClass
from events.plain_text import plain
from resources.files import Beneath, PathEscapes, PathSpecial, PathTooBig
from resources.sandboxes import keeper
from resources.sandboxes.protocol import Command, Outcome, Sandbox, SandboxGone, Tier
from resources.sandboxes.wrapped import Wrapped

PLACE = ".moorage/services"
READY_TIMEOUT_S = 60
RESTARTS = 5  # as in serving.py
LOG_KEPT = 2000  # characters of a service's log that go with the fault
_PROGRAM = Path(__file__).with_name("serving.py")
_KEEPER_S = 15.0  # until a keeper has begun
_POLL_S = 0.05
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


class Served(Wrapped):
    """Everything is the sandbox's own, but that commands of ``run`` have the services.

    ``locks`` is a directory of the host where keepers hold their locks, ``environment`` what services are given besides
    the berth's own.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        services: Sequence[Service],
        locks: Path,
        say: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
        clean: Callable[[str], str] = str,
    ) -> None:
        super().__init__(sandbox)
        self._services, self._say = tuple(services), say
        self._environment = dict(environment or {})
        self._clean = clean  # takes out of what the inside says what nobody may see
        reference = sandbox.reference()
        self._lock = locks / f"{reference['name']}.lock"
        workspace = Path(reference["profile"]["workspace"])
        self._place = workspace / PLACE
        self._files = Beneath(workspace)
        self._run = keeper.held(self._lock) or ""  # which run of the services
        self._told: dict[str, int] = {}  # the restarts of each that were told

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol. Raises ServiceFailed where the services cannot be had."""
        self._have(cancelled)
        outcome = self._sandbox.run(self._reaching(command), cancelled=cancelled)
        self._tell()
        return outcome

    def _have(self, cancelled: Callable[[], bool] | None) -> None:
        """Return once all are ready, or the command is cancelled: then it is not for us to say so."""
        if keeper.held(self._lock) is None:
            self._start()
        until = time.monotonic() + _KEEPER_S + sum(one.ready_timeout_s for one in self._services)
        while True:
            lives = keeper.held(self._lock) is not None  # before its last words are read
            self._tell()
            states = dict(self._states())
            ready = all(states.get(one.name, {}).get("phase") == "ready" for one in self._services)
            if ready and lives:
                return
            failed = any(state.get("phase") == "failed" for state in states.values())
            if failed or not lives or time.monotonic() > until:
                if not self._sandbox.alive():
                    raise SandboxGone(f"{self._lock.stem} is gone, with its services.")
                self._fail(states)
            if cancelled is not None and cancelled():
                return
            time.sleep(_POLL_S)

    def _start(self) -> None:
        names = ", ".join(one.name for one in self._services)
        self._say(f"side services {'had ended and start again' if self._run else 'start'}: {names}")
        self._run, self._told = uuid.uuid4().hex, {}
        keeper.start(
            lock=self._lock, token=self._run, reference=self._sandbox.reference(), argv=self._argv("serve"),
            environment=self._environment,
        )  # fmt: skip

    def _fail(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        name, state = next(
            ((name, state) for name, state in states.items() if state.get("phase") == "failed"),
            next(((n, s) for n, s in states.items() if s.get("phase") != "ready"), (self._services[0].name, {})),
        )
        why = self._clean(plain(str(state.get("why") or "it was not ready in time")))[:300]
        log = self._log(name)
        self._say(f"service {name}: {why}\n{log}".rstrip())
        raise ServiceFailed(f"service {name}: {why}", service=name, log=log)

    def _argv(self, mode: str) -> tuple[str, ...]:
        services = [dataclasses.asdict(one) for one in self._services]
        plan = {"place": str(self._place), "services": services, "run": self._run, "relay": self.tier is Tier.PROCESS}
        return ("python3", "-I", "-S", "-B", "-c", _PROGRAM.read_text("utf-8"), mode, json.dumps(plan))

    def _reaching(self, command: Command) -> Command:
        if self.tier is not Tier.PROCESS or not any(one.port for one in self._services):
            return command
        return dataclasses.replace(command, argv=(*self._argv("reach"), *command.argv))

    def _tell(self) -> None:
        """Say once that each is ready, and each time that it was started again."""
        for name, state in self._states():
            restarts = state.get("restarts")
            if state.get("phase") != "ready" or not isinstance(restarts, int) or self._told.get(name) == restarts:
                continue
            if restarts and name in self._told:
                why = self._clean(plain(str(state.get("why"))))[:200]
                self._say(f"service {name}: {why}; started again, {restarts!s:.10} of {RESTARTS} times")
            elif name not in self._told:
                self._say(f"service {name}: ready after {state.get('seconds')!s:.10} s")
            self._told[name] = restarts

    def _states(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the inside says of our services; hostile like all from there, so only what has the right shape."""
        run = keeper.held(self._lock) or self._run
        try:
            found = json.loads(self._files.read(f"{PLACE}/state.json", _STATE_BYTES))
        except (OSError, PathEscapes, PathSpecial, PathTooBig, ValueError, RecursionError):
            return
        if isinstance(found, dict) and found.get("run") == run and isinstance(found.get("services"), dict):
            for one in self._services:
                state = found["services"].get(one.name)
                if isinstance(state, dict):
                    yield one.name, state

    def _log(self, name: str) -> str:
        try:
            text = self._files.read(f"{PLACE}/{name}.log", 2 << 20).decode("utf-8", "replace")
        except (OSError, PathEscapes, PathSpecial, PathTooBig):
            return ""
        return self._clean(text)[-LOG_KEPT:]
