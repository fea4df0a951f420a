"""200 agents of two users for one host of six berths: never too many, all served, and neither user starved."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import report, stack
from benchmarks.report import Figure

EAGER, LATE = 150, 50
SLOTS = 6
LONGEST_S = 150.0
LOOK_S = 0.1


def _users() -> tuple[Any, Any]:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    return users.create_user(username="eager"), users.create_user(username="late")


def _ask(user: Any, count: int) -> None:
    from agents import lifecycle

    for _ in range(count):
        lifecycle.request_spawn(template="lightweight", actor=f"user:{user}", by=user)


def _watch() -> tuple[int, int, list[str]]:
    """Looks in all, looks above capacity, and whose agents ran in the order in which they did; each is sent home."""
    from agents import lifecycle
    from agents.models import Agent
    from resources import hosts
    from resources.models import Host

    looks, above, served = 0, 0, []
    seen: set[Any] = set()
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        used = hosts.usage(Host.objects.get(name=stack.HOST)).slots
        looks, above = looks + 1, above + (used > SLOTS)
        for agent in (
            Agent.objects.filter(state=Agent.State.RUNNING).select_related("created_by").order_by("state_since")
        ):
            if agent.pk not in seen:
                seen.add(agent.pk)
                served.append(agent.created_by.username if agent.created_by else "")
                lifecycle.request_stop(agent.pk, actor="user:bench", reason="had its turn")
        if not Agent.objects.exclude(state__in=[Agent.State.STOPPED, Agent.State.ERROR]).exists():
            break
        time.sleep(LOOK_S)
    return looks, above, served


def measure() -> list[Figure]:
    """Real workers, real admission, real berths of the cheapest tier."""
    capacity = {"SLOTS": SLOTS, "MEMORY_MB": 65_536, "CPU_MILLIS": 65_536, "DISK_MB": 65_536}
    settings = {"MOORAGE_ISOLATION": "landlock", "MOORAGE_WORKSPACES": "directory"}
    settings |= {f"MOORAGE_HOST_{name}": str(value) for name, value in capacity.items()}
    with stack.running(only=frozenset({"worker", "control", "beat"}), **settings):
        from agents.models import Agent
        from resources.models import Host

        deadline = time.monotonic() + 20
        while not Host.objects.filter(name=stack.HOST).exists():
            assert time.monotonic() < deadline, "the worker did not register its host"
            time.sleep(0.1)
        eager, late = _users()
        began = time.monotonic()
        _ask(eager, EAGER)
        _ask(late, LATE)
        looks, above, served = _watch()
        took_s = time.monotonic() - began
        failed = Agent.objects.filter(state=Agent.State.ERROR).count()
    # From the first agent of the later user to the last: how the berths were shared while both waited.
    first, last = served.index("late"), len(served) - 1 - served[::-1].index("late")
    share = served[first : last + 1].count("late") / (last + 1 - first)
    return [
        Figure("looks with more berths than there are", above, f"of {looks}", goal="0", met=above == 0),
        Figure("agents served", len(served), f"of {EAGER + LATE}", goal="all", met=len(served) == EAGER + LATE),
        Figure("of them failed", failed, "agents", goal="0", met=failed == 0),
        Figure("the later user's share while both wait", round(share, 2), "of the berths", goal="0.4 to 0.6",
               met=0.4 <= share <= 0.6),
        Figure("agents through a berth", round(len(served) / took_s, 1), "a second"),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
