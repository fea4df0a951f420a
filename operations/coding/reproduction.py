"""A test that reproduces: it fails on the base and passes with the change. Without one, nobody saw the defect."""

from __future__ import annotations

from operations.coding import changes, test_runs
from operations.coding.context import Context
from operations.coding.gates.judge import under_policy
from operations.coding.gates.policies import Policy
from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict
from operations.models import Stage

NAME = "reproduction"
SHOWN = 5


def judged(context: Context, subject: Subject, *, tree: str, base_tree: str) -> GateResult:
    """The gate: a test that failed before passes now, or the change brings one that fails without it."""
    wanted = context.spec["tests"].get("reproduction", "off")
    if wanted == "off":
        return GateResult(NAME, True, "not looked for: the template has tests.reproduction off")
    tested = context.product(Stage.TEST)
    if fixed := tested.get("fixed"):
        return GateResult(NAME, True, f"failed before and pass now: {_few(fixed)}")
    shown = _shown(context, subject, tree=tree, base_tree=base_tree)
    if shown:
        return GateResult(NAME, True, f"fail without the change and pass with it: {_few(shown)}")
    result = verdict(NAME, ["no test fails before the change and passes after it"], "")
    return under_policy(result, subject) if wanted == "require" else result.under(Policy.ALLOW)


def _shown(context: Context, subject: Subject, *, tree: str, base_tree: str) -> list[str]:
    """Tests of the change that fail on the base with nothing else of it."""
    new: dict[str, bytes] = {}
    for change in subject.diff.changes:
        if change.status != "D" and is_test(change.path):
            raw = changes.read_blob(vault=context.vault, tree=tree, path=change.path)
            new |= {} if raw is None else {change.path: raw}
    if not new:
        return []
    context.say(f"the tests of the change on the base: {_few(sorted(new))}")
    baseline, tested = context.product(Stage.ANALYZE)["baseline"], context.product(Stage.TEST)
    command = tuple(baseline["command"])
    run = test_runs.run(context, tree=base_tree, command=command, directory="before", instead=new)
    usual = {*baseline["failing"], *tested["failing"], test_runs.WHOLE_RUN}
    return [] if run.timed_out else sorted(name for name in run.failing if name not in usual)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
