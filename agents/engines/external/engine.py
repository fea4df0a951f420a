"""The external engine: an agent program in the berth, judged by what it left in the files and by nothing it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.engines import snapshots
from agents.engines.external import prompt
from agents.engines.external.assignment import Assignment, Mode, Stopped
from agents.engines.external.client import AcpClient, Prompt, Served
from agents.engines.external.faults import ProgramCancelled, ProgramEnded, ProgramLate, ProgramMissing
from agents.engines.external.jail import Jail
from agents.engines.external.lines import shown
from agents.engines.external.once import PROMPT_FILE, Onlooker
from agents.engines.external.permissions import Policy
from agents.engines.external.updates import Told
from agents.engines.protocol import Edits, EngineKind, Plan, PlanStep, Review, Task, Workbench
from agents.gateway.berth_ways import Way
from events.faults import Fault
from resources.files import Beneath
from resources.sandboxes.protocol import Command, Outcome, Sandbox

LONGEST_S = 1500.0  # of an attempt: below what a stage may take
PROBE_S = 90.0
_PROMPT_PLACE = ".moorage/prompt.md"  # beneath the workspace, out of the checkout's way
_CANNOT_RUN = frozenset({126, 127})
_VERSION = re.compile(r"\d+(?:\.\d+)+[0-9A-Za-z.+_-]{0,30}|[0-9a-f]{7,12}\b")
_STDERR_BYTES = 200_000
_ERRORS_SHOWN_BYTES = 8_000


@dataclass(frozen=True, slots=True)
class Post:
    """Where a program works and what it is given there.

    ``way`` opens its way to models for an attempt; ``told`` is given each tool call, for events; ``known`` is the
    label that an earlier stage found out; ``stopped`` is where it goes on.
    """

    sandbox: Sandbox
    workspace: Path
    directory: Path
    way: Callable[[], AbstractContextManager[Way]]
    told: Callable[[dict[str, str]], None] = lambda _call: None
    decided: Mapping[str, bool] = field(default_factory=dict)
    known: str = ""
    stopped: Stopped | None = None


class ExternalEngine:
    """One agent program. PLAN starts it once to see that it is there and which version; CODE lets it work."""

    kind = EngineKind.EXTERNAL

    def __init__(self, assignment: Assignment, post: Post) -> None:
        self._assignment, self._post = assignment, post
        self._label = post.known
        self._usage: dict[str, int] = {}

    def label(self) -> str:
        """Program and version: the program as the template calls it, the version as it tells itself."""
        return self._label or f"{self._assignment.title} (version unknown)"

    def usage(self) -> dict[str, int]:
        """Model calls and tokens that went through the gateway."""
        return dict(self._usage)

    def plan(self, task: Task, bench: Workbench) -> Plan:
        """The program plans for itself; this finds out that it can be started, and its version."""
        self._name(self._version(bench))
        bench.say(f"the agent program is {self.label()}")
        return Plan(f"{self.label()} works on the requirement by itself.", (PlanStep("Change the code"),))

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Let it work. What stopped its model calls goes before whatever it made of that."""
        before = snapshots.hashes(bench)
        with self._post.way() as way:
            say = _masked(bench.say, way)
            told = Told(say=say, tool=lambda call: self._post.told({k: way.mask.text(v) for k, v in call.items()}))
            try:
                summary = _WORK[self._assignment.mode](self, self._prompt(task, plan), bench, way, told)
            except Fault as fault:
                fault.detail = way.mask.text(fault.detail)
                fault.facts = {name: _masked_fact(way, value) for name, value in fault.facts.items()}
                way.raise_if_refused()
                raise
            finally:
                self._usage = way.usage()
            way.raise_if_halted()
        return Edits(snapshots.changed(before, snapshots.hashes(bench)), way.mask.text(summary))

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        """It has no say about its own work."""
        return Review(approved=True)

    def _prompt(self, task: Task, plan: Plan) -> Prompt:
        stopped = self._post.stopped
        if stopped is None:
            return Prompt(prompt.prompt(task, plan))
        return Prompt(prompt.prompt(task, plan, stopped), stopped.session, prompt.go_on(stopped))

    # The Agent Client Protocol

    def _converse(self, words: Prompt, bench: Workbench, way: Way, told: Told) -> str:
        client = self._client(words, bench, told, stopped=lambda: bench.cancelled() or way.is_spent())
        outcome = self._run(bench, way, Command(argv=self._assignment.program, peer=client), over=client.over)
        self._name(client.version)
        self._check(outcome, bench, done=client.done)
        if client.stop_reason != "end_turn":
            told.line(f"the turn ended with {client.stop_reason}")
        return told.last_words or "The program said nothing."

    def _client(self, words: Prompt | None, bench: Workbench, told: Told, *, stopped: Callable[[], bool]) -> AcpClient:
        served = Served(
            self._post.directory, Jail(bench, self._post.directory),
            Policy(self._assignment.answers, decided=self._post.decided),
        )  # fmt: skip
        return AcpClient(
            prompt=words, served=served, told=told, authentication=self._assignment.authentication, cancelled=stopped
        )

    # Once

    def _let_run(self, words: Prompt, bench: Workbench, way: Way, told: Told) -> str:
        text = words.text.encode("utf-8", "replace")
        Beneath(self._post.workspace).write(_PROMPT_PLACE, text)
        place = str(self._post.workspace / _PROMPT_PLACE)
        command = Command(
            argv=tuple(word.replace(PROMPT_FILE, place) for word in self._assignment.program),
            environment={"MOORAGE_PROMPT_FILE": place},
            stdin=text, peer=Onlooker(told),
        )  # fmt: skip
        outcome = self._run(bench, way, command, over=lambda: bench.cancelled() or way.is_spent())
        self._check(outcome, bench, done=outcome.exit_code is not None)
        return f"The program ended with exit code {outcome.exit_code}."

    # Both

    def _run(self, bench: Workbench, way: Way, command: Command, *, over: Callable[[], bool]) -> Outcome:
        """The program in the berth, to its end. Its environment holds the way to models; its argv never does."""
        bench.say(f"$ {shown(' '.join(command.argv), limit=300)}")
        given = Command(
            argv=command.argv, cwd=self._post.directory, stdin=command.stdin, peer=command.peer,
            environment={**way.environment, **self._assignment.environment, **command.environment},
            timeout_s=LONGEST_S, output_limit_bytes=_STDERR_BYTES,
        )  # fmt: skip
        outcome = self._heard(given, bench, way, over=over)
        bench.say(f"  exit {outcome.exit_code} after {outcome.duration_s:.1f} s")
        return outcome

    def _heard(self, command: Command, bench: Workbench, way: Way, *, over: Callable[[], bool]) -> Outcome:
        """Run it; the end of its errors is in the log, however it ends."""
        errors = bytearray()

        def overhear(stream: str, data: bytes) -> None:
            if stream == "stderr":
                errors.extend(data)
                del errors[:-_ERRORS_SHOWN_BYTES]

        try:
            return way.entrust(self._post.sandbox).run(replace(command, overheard=overhear), cancelled=over)
        finally:
            for line in bytes(errors).decode("utf-8", "replace").splitlines()[-20:]:
                if line.strip():
                    bench.say(f"errors: {shown(way.mask.text(line))}")

    def _check(self, outcome: Outcome, bench: Workbench, *, done: bool) -> None:
        """Raise for a program that did not come to its end by itself."""
        if bench.cancelled():
            raise ProgramCancelled("The program was ended.")
        if outcome.timed_out:
            raise ProgramLate(f"The program was ended after {LONGEST_S:.0f} s.")
        last = shown(outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2], limit=300)
        if outcome.exit_code in _CANNOT_RUN:
            raise ProgramMissing(f"{self._assignment.program[0]} cannot be started in the berth. {last}".strip())
        if not done:
            how = f"{self._assignment.title} ended with exit code {outcome.exit_code} before its turn did."
            raise ProgramEnded(f"{how} {last}".strip(), exit_code=outcome.exit_code)

    def _version(self, bench: Workbench) -> str:
        """What the program says in its greeting, or what its version command prints."""
        told = Told(say=bench.say, tool=lambda _call: None)
        said = ""
        if self._assignment.mode is Mode.ACP:
            client = self._client(None, bench, told, stopped=bench.cancelled)
            outcome = self._probe(Command(argv=self._assignment.program, peer=client), bench, over=client.over)
            self._check(outcome, bench, done=client.done)
            said = client.version
        if said or not self._assignment.version:
            return said
        outcome = self._probe(Command(argv=self._assignment.version), bench, over=bench.cancelled)
        return outcome.stdout.decode("utf-8", "replace") if outcome.ok else ""

    def _probe(self, command: Command, bench: Workbench, *, over: Callable[[], bool]) -> Outcome:
        given = Command(
            argv=command.argv, cwd=self._post.directory, peer=command.peer, timeout_s=PROBE_S,
            environment=self._assignment.environment, output_limit_bytes=_STDERR_BYTES,
        )  # fmt: skip
        return self._heard(given, bench, Way(), over=over)

    def _name(self, said: str) -> None:
        """Program and version. The name is the template's: what the program calls itself proves nothing."""
        version = _VERSION.search(said[:400])
        if version is not None:
            self._label = f"{shown(self._assignment.title, limit=60)} {version[0]}"


def _masked(say: Callable[[str], None], way: Way) -> Callable[[str], None]:
    return lambda line: say(way.mask.text(line))


def _masked_fact(way: Way, value: Any) -> Any:
    return way.mask.text(value) if isinstance(value, str) else value


_WORK: dict[Mode, Callable[[ExternalEngine, Prompt, Workbench, Way, Told], str]] = {
    Mode.ACP: ExternalEngine._converse,
    Mode.COMMAND: ExternalEngine._let_run,
}
