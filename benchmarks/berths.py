"""From the request for an agent to its open berth, tier by tier, each beside the bare thing it is made of."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import report, stack
from benchmarks.report import Figure

ROUNDS = 12
WARM_UP = 2
TEMPLATE = "python"
MEMORY_MB = 768  # what that template asks for
OWNER = "worker:bench"


def _timed(do: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = do()
    return time.perf_counter() - began, answer


def _beat() -> None:
    """The worker's part: here is none."""
    from django.utils import timezone

    from resources.models import Host

    Host.objects.update(heartbeat_at=timezone.now())


def _spawn() -> Any:
    """What request, control worker and host worker do, without the ways between them."""
    from django.utils import timezone

    from agents import berths, lifecycle, placement
    from agents.models import Agent

    asked = lifecycle.request_spawn(template=TEMPLATE, actor="user:bench")
    placement.place(asked.pk, now=timezone.now())
    berths.open_berth(asked.pk, generation=asked.generation, worker=OWNER)
    agent = Agent.objects.get(pk=asked.pk)
    assert agent.state == Agent.State.RUNNING, agent.error or agent.blocked_by
    return agent


def _leave(agent: Any) -> None:
    from agents import berths, lifecycle

    asked = lifecycle.request_stop(agent.pk, actor="user:bench", reason="measured")
    berths.clear_berth(agent.pk, generation=asked.generation, worker=OWNER)


def _profile(**more: Any) -> Any:
    from resources import workspaces
    from resources.sandboxes.protocol import Profile

    workspace = workspaces.place_of(f"{uuid.uuid4()}-1")
    workspaces.create(workspace, limit_mb=512, kind=workspaces.offer().kind)
    return Profile(owner=f"bench:{workspace.name}", generation=1, workspace=workspace, **more)


def _bare_container() -> float:
    """The engine's create and start, with the very arguments of a berth's container, its workspace there already."""
    from django.conf import settings

    from resources import workspaces
    from resources.sandboxes import container, door, local, policy
    from resources.sandboxes.engine import engine
    from resources.sandboxes.launch import LAUNCHER
    from resources.sandboxes.visible import toolchain

    profile = _profile(uid=container.UNLEASED_UID, readable=(settings.TOOLCHAIN,), memory_mb=MEMORY_MB)
    made = door.build(profile.workspace, uid=container.UNLEASED_UID)
    wanted = policy.container(
        profile, name=local.name_of(profile), uid=container.UNLEASED_UID, gid=container.UNLEASED_UID,
        tools=toolchain(profile.readable),
        programs=policy.Programs(launcher=LAUNCHER, agent=container.AGENT, door=made),
    )  # fmt: skip
    with engine() as client:

        def create_and_start() -> Any:
            new = client.containers.create(policy.DEFAULT_IMAGE, **wanted)
            new.start()
            return new

        took, new = _timed(create_and_start)
        new.remove(force=True)
    workspaces.remove(profile.workspace)
    return took


def _bare_bubblewrap() -> float:
    """bubblewrap with the arguments of a berth, around ``true``."""
    from resources import workspaces
    from resources.sandboxes.bubblewrap import wrapper

    profile = _profile(memory_mb=MEMORY_MB)
    argv = wrapper(profile)
    argv = (*argv[: argv.index("--")], "--", "/bin/true")
    took, _ = _timed(lambda: subprocess.run(argv, check=True, env={}))
    workspaces.remove(profile.workspace)
    return took


def _through(agent: Any) -> float:
    """One command through an open berth."""
    from resources.sandboxes import selection
    from resources.sandboxes.protocol import Command

    sandbox = selection.adopt(agent.sandbox)
    took, outcome = _timed(lambda: sandbox.run(Command(argv=("true",))))
    assert outcome.ok
    return took


def _directly() -> float:
    return _timed(lambda: subprocess.run(["true"], check=True))[0]


def _ms(seconds: list[float]) -> float:
    return round(median(seconds[WARM_UP:]) * 1000, 1)


def _container_tier() -> list[Figure]:
    from django.conf import settings
    from django.utils import timezone

    from agents import warm_pool

    settings.ISOLATION = "container"
    bare, cold, warm, through, directly = [], [], [], [], []
    for _ in range(ROUNDS + WARM_UP):
        _beat()
        bare.append(_bare_container())
        settings.WARM_POOL = {}
        took, agent = _timed(_spawn)
        cold.append(took)
        through += [_through(agent) for _ in range(3)]
        directly += [_directly() for _ in range(3)]
        _leave(agent)
        settings.WARM_POOL = {TEMPLATE: 1}
        assert warm_pool.tend(host_name=stack.HOST, now=timezone.now(), actor=OWNER) == 1
        took, agent = _timed(_spawn)
        assert agent.resolved["taken"]["warm"]
        warm.append(took)
        _leave(agent)
    warm_pool.drain(host_name=stack.HOST, actor=OWNER)
    extra = _ms(through) - _ms(directly)
    return [
        Figure("container tier, spawn to ready", _ms(cold), "ms", goal="≤ 1.3 times", met=_ms(cold) <= 1.3 * _ms(bare),
               baseline=_ms(bare), baseline_name="bare create and start"),
        Figure("from the warm pool", _ms(warm), "ms", goal="≤ 150 ms", met=_ms(warm) <= 150,
               baseline=_ms(bare), baseline_name="bare create and start"),
        Figure("a command through the berth's agent", _ms(through), "ms", goal="≤ 15 ms more", met=extra <= 15,
               baseline=_ms(directly), baseline_name="directly"),
    ]  # fmt: skip


def _process_tier() -> list[Figure]:
    from django.conf import settings

    settings.ISOLATION, settings.WARM_POOL = "process", {}
    bare, spawned, through = [], [], []
    for _ in range(ROUNDS + WARM_UP):
        _beat()
        bare.append(_bare_bubblewrap())
        took, agent = _timed(_spawn)
        spawned.append(took)
        through.append(_through(agent))
        _leave(agent)
    ready, base = _ms(spawned), _ms(bare)
    return [
        Figure("process tier, spawn to ready", ready, "ms", goal="≤ 60 ms more", met=ready - base <= 60, baseline=base,
               baseline_name="bare bubblewrap"),
        Figure("a command in the process tier", _ms(through), "ms", baseline=base, baseline_name="bare bubblewrap"),
    ]  # fmt: skip


def measure() -> list[Figure]:
    """Everything in turns with its baseline; medians. Tiers that this machine has not are left out."""
    with stack.running():
        from django.conf import settings
        from django.utils import timezone

        from resources import hosts, workspaces
        from resources.sandboxes import selection
        from resources.sandboxes.protocol import Tier

        workspaces.root().mkdir(mode=0o711, parents=True, exist_ok=True)
        settings.DATA.chmod(0o711)  # a berth's user has to reach its workspace
        facts = hosts.own_facts(workspaces=workspaces.root())
        capacity = hosts.own_capacity(workspaces=workspaces.root())
        hosts.register(name=stack.HOST, capacity=capacity, facts=facts, now=timezone.now())
        there = {answer.tier for answer in selection.availabilities() if answer.available}
        found = _container_tier() if Tier.CONTAINER in there else []
        return found + (_process_tier() if Tier.PROCESS in there else [])


if __name__ == "__main__":
    report.main(measure)
