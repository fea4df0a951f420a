"""Results that need no second run: of tests, of analysis and of outlines, by the hash of what they depend on alone.

Only clean test runs are kept: what failed, hung or was interrupted may turn out otherwise next time, and so may what
was ever seen otherwise on the same tree. Keys hold the project, the tree, the command and the berth's environment down
to the programs in it; a hit is said in the log and in the evidence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from agents.engines.protocol import TestCounts
from agents.roles import surveys
from operations.coding import test_runs
from operations.coding.context import Context
from operations.coding.storable import storable
from operations.models import Evidence, KeptResult
from resources.sandboxes import programs

# The parts of a template on which a test can depend in a berth that sees nothing else.
ENVIRONMENT = ("environment", "packages", "hooks", "tests", "size", "isolation")


def tests(context: Context, *, tree: str, command: tuple[str, ...], directory: str) -> test_runs.TestRun:
    """What :func:`operations.coding.test_runs.run` says; without running where it was clean before."""
    if _world_matters(context) or not programs.digest(context.sandbox.reference()):
        return test_runs.run(context, tree=tree, command=command, directory=directory)
    key = _key(context, KeptResult.Kind.TESTS, tree, list(command))
    if (known := _known(key)) is not None:
        context.say(f"kept result: these tests were clean on tree {tree[:12]} in the same environment; not run again")
        counts = TestCounts(**known.pop("counts"))
        return test_runs.TestRun(**{**known, "command": command, "counts": counts}, failing={}, kept=True)
    found = test_runs.run(context, tree=tree, command=command, directory=directory)
    if found.clean and not found.timed_out and not _was_otherwise(context, tree=tree, command=command):
        fields = asdict(replace(found, command=()))
        _keep(key, KeptResult.Kind.TESTS, {name: fields[name] for name in fields.keys() - {"failing", "kept"}})
    return found


def analysis(context: Context, *, tree: str, by: list[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``make`` says of a tree ``by`` its rules; asked once."""
    key = _key(context, KeptResult.Kind.ANALYSIS, tree, by)
    if (known := _known(key)) is not None:
        context.say(f"kept result: the files of tree {tree[:12]}")
        return known
    made = make()
    _keep(key, KeptResult.Kind.ANALYSIS, made)
    return made


def outlines(context: Context, texts: Sequence[str]) -> list[str]:
    """What :func:`agents.roles.surveys.outline` says of each text; each content is parsed once."""
    found = []
    hits = 0
    for text in texts:
        key = _key(context, KeptResult.Kind.SYMBOLS, _digest(text), [surveys.OUTLINE_FORM])
        known = _known(key)
        hits += known is not None
        if known is None:
            known = storable({"outline": surveys.outline(text)})
            _keep(key, KeptResult.Kind.SYMBOLS, known)
        found.append(str(known["outline"]))
    if hits:
        context.say(f"kept result: the outlines of {hits} of {len(texts)} files")
    return found


def _was_otherwise(context: Context, *, tree: str, command: tuple[str, ...]) -> bool:
    """Whether these tests were ever seen to fail, hang or change their mind on this very tree: they are flaky."""
    seen = Evidence.objects.filter(
        operation__project_id=context.operation.project_id, tree=tree, command=list(command),
        kind__in=(Evidence.Kind.BASELINE, Evidence.Kind.TESTS),
    )  # fmt: skip
    return any(code != 0 or detail.get("flaky") for code, detail in seen.values_list("exit_code", "detail"))


def _world_matters(context: Context) -> bool:
    """Whether tests see more than their tree: services, secrets, or anything beyond the berth."""
    spec, way_out = context.spec, context.sandbox.reference().get("profile", {}).get("egress")
    return bool(spec["services"] or spec.get("secrets") or way_out)


def _key(context: Context, kind: KeptResult.Kind, content: str, by: list[Any]) -> str:
    """Of everything that the result depends on; what only names the berth is no part of it."""
    agent = context.agent
    depends: list[Any] = [kind.value, str(context.operation.project_id), content, by]
    if kind is KeptResult.Kind.TESTS:
        spec = {name: context.spec.get(name) for name in ENVIRONMENT}
        depends += [spec, agent.tier, programs.digest(context.sandbox.reference()), _toolchain()]
    said = json.dumps(depends, sort_keys=True, default=str)
    for own in (str(context.workspace), str(agent.pk), agent.name):
        said = said.replace(own, "")
    return hashlib.sha256(said.encode()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
    """Keep it, and let those of its kind go that were not used for longest."""
    most = settings.KEPT_RESULTS
    if not most:
        return
    now = timezone.now()
    KeptResult.objects.get_or_create(
        key=key, defaults={"kind": kind, "result": result, "created_at": now, "used_at": now}
    )
    beyond = KeptResult.objects.filter(kind=kind).order_by("-used_at").values_list("pk", flat=True)[most : most + 100]
    KeptResult.objects.filter(pk__in=list(beyond)).delete()
