"""Results that need no second run: of tests and of analysis, by the hash of what they depend on and by nothing else.

Only clean test runs are kept: what failed, hung or was interrupted may turn out otherwise next time. Keys hold the
project, the tree, the command and the berth's environment; a hit is said in the log and in the evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from agents.engines.protocol import TestCounts
from operations.coding import test_runs
from operations.coding.context import Context
from operations.models import KeptResult

# The parts of a template on which a test can depend in a berth that sees nothing else.
ENVIRONMENT = ("environment", "packages", "hooks", "tests", "size", "isolation")


def tests(context: Context, *, tree: str, command: tuple[str, ...], directory: str) -> test_runs.TestRun:
    """What :func:`operations.coding.test_runs.run` says; without running where it was clean before."""
    if _world_matters(context):
        return test_runs.run(context, tree=tree, command=command, directory=directory)
    key = _key(context, KeptResult.Kind.TESTS, tree, list(command))
    if (known := _known(key)) is not None:
        context.say(f"kept result: these tests were clean on tree {tree[:12]} in the same environment; not run again")
        counts = TestCounts(**known.pop("counts"))
        return test_runs.TestRun(**{**known, "command": command, "counts": counts}, failing={}, kept=True)
    found = test_runs.run(context, tree=tree, command=command, directory=directory)
    if found.clean and not found.timed_out:
        fields = asdict(replace(found, command=()))
        _keep(key, KeptResult.Kind.TESTS, {name: fields[name] for name in fields.keys() - {"failing", "kept"}})
    return found


def analysis(context: Context, *, tree: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` says of a tree; asked once."""
    key = _key(context, KeptResult.Kind.ANALYSIS, tree, [])
    if (known := _known(key)) is not None:
        context.say(f"kept result: the files of tree {tree[:12]}")
        return known
    made = make()
    _keep(key, KeptResult.Kind.ANALYSIS, made)
    return made


def _world_matters(context: Context) -> bool:
    """Whether tests see more than their tree: services, secrets, or anything beyond the berth."""
    spec = context.spec
    network = spec.get("network", {})
    return bool(spec["services"] or spec.get("secrets") or network.get("allow") or network.get("ask"))


def _key(context: Context, kind: KeptResult.Kind, tree: str, command: list[str]) -> str:
    """Of everything that the result depends on; what only names the berth is no part of it."""
    agent = context.agent
    depends: list[Any] = [kind.value, str(context.operation.project_id), tree]
    if kind is KeptResult.Kind.TESTS:
        profile = context.sandbox.reference()["profile"]
        spec = {name: context.spec.get(name) for name in ENVIRONMENT}
        depends += [command, spec, agent.tier, profile.get("image"), _toolchain()]
    said = json.dumps(depends, sort_keys=True, default=str)
    for own in (str(context.workspace), str(agent.pk), agent.name):
        said = said.replace(own, "")
    return hashlib.sha256(said.encode()).hexdigest()


def _toolchain() -> str:
    """The digest of the lock that the berth's tools were installed from; empty where there is none."""
    lock = settings.BASE_DIR / "deploy" / "toolchain" / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def _known(key: str) -> dict[str, Any] | None:
    if not settings.KEPT_RESULTS:
        return None
    rows = KeptResult.objects.filter(key=key)
    if not rows.update(hits=F("hits") + 1, used_at=timezone.now()):
        return None
    found: dict[str, Any] | None = rows.values_list("result", flat=True).first()
    return found


def _keep(key: str, kind: KeptResult.Kind, result: dict[str, Any]) -> None:
    """Keep it, and let those go that were not used for longest."""
    most = settings.KEPT_RESULTS
    if not most:
        return
    now = timezone.now()
    KeptResult.objects.get_or_create(
        key=key, defaults={"kind": kind, "result": result, "created_at": now, "used_at": now}
    )
    beyond = KeptResult.objects.order_by("-used_at").values_list("pk", flat=True)[most : most + 100]
    KeptResult.objects.filter(pk__in=list(beyond)).delete()
