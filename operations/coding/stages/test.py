"""TEST: the project's own tests, on a fresh checkout of the very tree that would be committed."""

from __future__ import annotations

from operations.coding import test_runs
from operations.coding.context import Context, Done, Outcome
from operations.models import Evidence, Stage


def test(context: Context) -> Outcome:
    """Run them, keep the evidence, tell old failures from new. Only the exit code and the report count."""
    tree = context.tree(Stage.CODE)
    baseline = context.product(Stage.ANALYZE)["baseline"]
    before = set(baseline["failing"])
    run = test_runs.run(context, tree=tree, command=tuple(baseline["command"]), directory="check")
    passed = run.passes(before)
    test_runs.witness(context, run, kind=Evidence.Kind.TESTS, passed=passed, before=before)
    if passed:
        return Done({**run.product(), "fixed": sorted(before - set(run.failing))[:50]})
    raise _why(run, before)


def _why(run: test_runs.TestRun, before: set[str]) -> test_runs.TestsFailed:
    new = run.new_failures(before)
    if new:
        names = ", ".join(list(new)[:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
        return test_runs.TestsFailed(f"{len(new)} tests fail that did not fail before: {names}", failing=_few(new))
    if run.counts.total == 0:
        return test_runs.TestsFailed("no test ran: that is not a pass", output=run.output[-1500:])
    return test_runs.TestsFailed(f"the test command ended with exit code {run.exit_code}", output=run.output[-1500:])


def _few(failures: dict[str, str]) -> dict[str, str]:
    return dict(list(failures.items())[:10])
