"""Chaos cycles: an agent is spawned, works and leaves while kill -9 hits a worker, the engine or Redis at some moment.

Used by a bounded test and by ``benchmarks/chaos.py``. What happens is drawn from a seed, or named: a worker that is
killed at a step of spawn and at one of stop. Each cycle ends with a count of what is left; an agent of somebody else
lives through all of them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.utils import timezone

from agents import lifecycle, placement, upkeep
from agents.models import Agent, State
from events import live
from operations.coding import vault
from operations.models import Operation, Project, Stage, Step
from resources import breakers, disk_images, hosts, leases, orphans, workspaces
from resources.files import Beneath
from resources.models import Lease
from resources.sandboxes import local, selection
from resources.sandboxes.protocol import Profile, SandboxFailed, SandboxGone
from resources.volumes import berths as volumes
from tests import factories
from tests.fakes.engine_process import EngineProcess
from tests.fakes.redis_process import RedisProcess
from tests.faults.leftovers import containers
from tests.faults.zygote import Zygote

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PATIENCE_S = 200.0
LONGEST_DELAY_S = {"spawn": 0.9, "stop": 0.5}
TIERS = ("container", "process")


@dataclass(slots=True)
class Tally:
    """What came of it. ``hits`` counts kills that landed, by victim and phase."""

    cycles: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    leaked: list[str] = field(default_factory=list)
    live_removed: list[str] = field(default_factory=list)
    lost_work: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)  # named steps that no worker came to


class Drill:
    """One host, one bystander, and cycles. ``engine`` and ``redis`` are its own, to be killed.

    Without an engine of its own it uses the machine's, and has no :meth:`cycle`.
    """

    def __init__(self, *, seed: int, engine: EngineProcess | None, redis: RedisProcess, user: Any) -> None:
        self.tally = Tally()
        self.template = "lightweight"  # of all that live and die
        self._chance = random.Random(seed)
        self._engine, self._redis, self._user = engine, redis, user
        self._cases, self.last_words = 0, ""
        self._zygote = Zygote()
        settings.HOST_NAME, settings.CLAIM_TTL_S = "node-a", 0.2
        workspaces.root().mkdir(mode=0o711, parents=True, exist_ok=True)
        Path(settings.DATA).chmod(0o711)
        self.host = factories.host(slots=8, memory_mb=16_000, cpu_millis=16_000, disk_mb=64_000)
        self._project = Project.objects.create(
            owner=user, name="drill", repository_url="/nowhere", created_at=timezone.now()
        )
        self._vault = vault.open_vault(root=Path(settings.DATA) / "vaults", project_id=self._project.pk)
        git = ("git", f"--git-dir={self._vault.path}")
        subprocess.run([*git, "mktree"], input=b"", check=True, stdout=subprocess.DEVNULL)
        settings.ISOLATION = "container"
        self.bystander = self._spawned(_Blow("nobody", 0))
        assert self.bystander is not None, "the bystander could not be opened"
        Beneath(self._place(self.bystander)).write("precious.txt", b"mine\n")

    def cycle(self) -> None:
        """Spawn, work, leave; one blow at a random moment of one of the two."""
        victim = self._chance.choice(("worker", "worker", "engine", "redis"))
        phase = self._chance.choice(("spawn", "stop"))
        delay_s = self._chance.uniform(0, LONGEST_DELAY_S[phase])
        settings.ISOLATION = self._chance.choice(TIERS)
        blow = _Blow(victim, delay_s)
        calm = _Blow("nobody", 0)
        ended = self._lives(blow if phase == "spawn" else calm, blow if phase == "stop" else calm)
        self.last_words = f"{victim} {phase} {delay_s:.2f} s, {settings.ISOLATION}: {ended.state} {ended.error or ''}"
        if blow.landed:
            self.tally.hits[f"{victim} in {phase}"] += 1

    def dies_at(self, *, tier: str, spawn: str, stop: str) -> Agent:
        """Spawn, work, leave; the worker is killed at one named step of spawn, and the next one at one of stop."""
        settings.ISOLATION = tier
        spawning, stopping = _Blow("itself", 0, step=spawn), _Blow("itself", 0, step=stop)
        ended = self._lives(spawning, stopping)
        self.tally.missed += [blow.step for blow in (spawning, stopping) if not blow.landed]
        return ended

    def _lives(self, spawning: _Blow, stopping: _Blow) -> Agent:
        agent = self._spawned(spawning)
        work = b""
        if agent is not None:
            work = self._works(agent)
            self.tally.ended["ran"] += 1
        else:
            self.tally.ended["refused"] += 1
        gone = agent or self._last
        self._stopped(gone, stopping)
        if work and work not in self._kept():
            self.tally.lost_work.append(str(gone.pk))
        self._look_for_leaks(gone)
        self._look_at_the_bystander()
        self.tally.cycles += 1
        return _loaded(gone)

    # --- the three things that an agent does ---------------------------------------------------------------------

    def _spawned(self, once: _Blow | None) -> Agent | None:
        hosts.beat(name=self.host.name, facts=self.host.facts, now=timezone.now())
        agent = self._last = factories.agent(self.template, by=self._user, project_id=self._project.pk)
        placement.place(agent.pk, now=timezone.now())
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            agent = _loaded(agent)
            if agent.state != State.SPAWNING:
                break
            self._elsewhere("open", agent, once)
            once = None
        agent = _loaded(agent)
        return agent if agent.state == State.RUNNING else None

    def _works(self, agent: Agent) -> bytes:
        """Something that only this agent has, uncommitted."""
        self._cases += 1
        work = f"{self._cases} {uuid.uuid4()}\n".encode()
        Beneath(self._place(agent)).make_directory("tree")
        Beneath(self._place(agent)).write("tree/work.txt", work)
        now = timezone.now()
        operation = Operation.objects.create(
            project=self._project, created_by=self._user, requirements="x", agent=agent, stage=Stage.CODE,
            created_at=now,
        )  # fmt: skip
        Step.objects.create(
            operation=operation, turn=0, stage=Stage.ANALYZE, attempt=1, outcome=Step.Outcome.DONE, started_at=now,
            finished_at=now, agent=agent, product={"tree": EMPTY_TREE},
        )  # fmt: skip
        return work

    def _stopped(self, agent: Agent, blow: _Blow) -> None:
        lifecycle.request_stop(agent.pk, actor="user:ada", reason="enough")
        deadline = time.monotonic() + PATIENCE_S
        once: _Blow | None = blow
        while time.monotonic() < deadline:
            agent = _loaded(agent)
            if agent.state == State.STOPPED:
                return
            self._elsewhere("clear", agent, once)
            once = None
        self.tally.leaked.append(f"agent {agent.pk} is still {agent.state}")

    def _elsewhere(self, do: str, agent: Agent, blow: _Blow | None) -> None:
        """In a process of its own, as a worker's child; then the blow, and whoever was hit is started again."""
        step = blow.step if blow is not None else ""
        child = self._zygote.child(do, agent=str(agent.pk), generation=agent.generation, dies_at=step)
        if blow is not None and blow.victim not in ("nobody", "itself"):
            time.sleep(blow.delay_s)
            self._strike(blow, child)
        code = self._zygote.wait(child)
        if blow is not None and step:
            blow.landed = os.WIFSIGNALED(code)
        if blow is not None and blow.struck:
            self._mend(blow)
        time.sleep(0.05 if blow is None else settings.CLAIM_TTL_S)

    def _strike(self, blow: _Blow, child: int) -> None:
        blow.landed = psutil.Process(child).status() != psutil.STATUS_ZOMBIE
        blow.struck = True
        if blow.victim == "worker":
            os.kill(child, signal.SIGKILL)
        elif blow.victim == "engine" and self._engine is not None:
            self._engine.kill()
        elif blow.victim == "redis":
            self._redis.kill()

    def _mend(self, blow: _Blow) -> None:
        if blow.victim == "engine" and self._engine is not None:
            self._engine.start()
            selection.availabilities(fresh=True)
        elif blow.victim == "redis":
            self._redis.start()
            breakers._paused_until.clear()
            live._paused_until.clear()

    # --- the counts ----------------------------------------------------------------------------------------------

    def _look_for_leaks(self, agent: Agent) -> None:
        """Nothing of it is left, without any sweep: what a cycle leaves to the sweep is a leak here."""
        key = str(agent.pk)
        left = [str(lease) for lease in leases.live(owner=agent.owner)]
        left += [name for name in self._containers() if key in name]
        left += [name for name in workspaces.names() if key in name]
        left += [f"volumes {name}" for name in volumes.names() if key in name]
        left += [f"mount {place}" for place in disk_images.mounted() if key in str(place)]
        left += [path.name for path in workspaces.root().iterdir() if key in path.name]
        for generation in range(1, agent.generation + 1):
            place = workspaces.place_of(f"{key}-{generation}")
            name = local.name_of(Profile(owner=agent.owner, generation=generation, workspace=place))
            left += [f"process {process.pid}" for process in local.launchers(name)]
        if left:
            self.tally.leaked.append(f"{key}: {', '.join(left)}")

    def _containers(self) -> list[str]:
        if self._engine is not None:
            return list(self._engine.containers())
        return [container.name for container in containers(settings)]

    def _look_at_the_bystander(self) -> None:
        assert self.bystander is not None
        upkeep.inspect(host=settings.HOST_NAME, now=timezone.now(), worker="worker:node-a")
        later = timezone.now() + orphans.GRACE
        for when in (timezone.now(), later):
            orphans.sweep(host_name=settings.HOST_NAME, now=when)
        self.bystander = _loaded(self.bystander)
        if not self._bystander_lives():
            self.tally.live_removed.append(f"after {self.tally.cycles} cycles: {self.bystander.state}")

    def _bystander_lives(self) -> bool:
        assert self.bystander is not None
        try:
            there = self.bystander.state == State.RUNNING and selection.adopt(self.bystander.sandbox or {}).alive()
            return there and Beneath(self._place(self.bystander)).exists("precious.txt")
        except (SandboxGone, SandboxFailed, OSError):
            return False

    def _kept(self) -> bytes:
        """Every file called work.txt that the vault keeps, one after the other."""
        git = ("git", f"--git-dir={self._vault.path}")
        names = subprocess.run([*git, "for-each-ref", "--format=%(objectname)"], check=True, capture_output=True)
        wanted = "".join(f"{name}:work.txt\n" for name in names.stdout.decode().split())
        return subprocess.run([*git, "cat-file", "--batch"], input=wanted.encode(), capture_output=True).stdout

    def _place(self, agent: Agent) -> Path:
        lease = next(iter(leases.live(owner=agent.owner, kind=Lease.Kind.DIRECTORY)))
        return workspaces.place_of(lease.key)

    def end(self) -> None:
        """The bystander leaves as well."""
        assert self.bystander is not None
        self._stopped(self.bystander, _Blow("nobody", 0))
        self._look_for_leaks(self.bystander)
        self._zygote.end()


@dataclass(slots=True)
class _Blow:
    victim: str
    delay_s: float
    step: str = ""  # where a worker kills itself, see Zygote.child
    struck: bool = False
    landed: bool = False  # while somebody was at work


def _loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)
