"""TEST: the project's own tests, on a fresh checkout of the very tree that would be committed."""

from __future__ import annotations

from operations.coding import kept_results, test_runs
from operations.coding.context import Context, Done, Level, Outcome
from operations.models import Evidence, Stage

FLAKY_MOST = 10  # with more new failures, it is the change
AGAIN_S = 300.0  # a run that takes longer is not repeated


def test(context: Context) -> Outcome:
    """Run them, keep the evidence, tell old failures from new. Only the exit code and the report count.

    A few new failures get a second run: one that passes as a whole shows them to be flaky, and the evidence names them.
    """
    tree = context.tree(Stage.CODE)
    baseline = context.product(Stage.ANALYZE)["baseline"]
    command, before = tuple(baseline["command"]), set(baseline["failing"])
    run = kept_results.tests(context, tree=tree, command=command, directory="check")
    flaky: dict[str, str] = {}
    if _worth_a_second_look(run, before):
        context.say(f"{len(run.new_failures(before))} new failures: once more, to tell flaky ones")
        again = test_runs.run(context, tree=tree, command=command, directory="check")
        if again.passes(before):
            run, flaky = again, run.new_failures(before)
            context.say(f"flaky, since they passed now: {', '.join(list(flaky)[:5])}", level=Level.WARNING)
    passed = run.passes(before)
    test_runs.witness(context, run, kind=Evidence.Kind.TESTS, passed=passed, before=before, flaky=flaky)
    if passed:
        return Done({**run.product(), "fixed": sorted(before - set(run.failing))[:50], "flaky": sorted(flaky)})
    raise _why(run, before)


def _worth_a_second_look(run: test_runs.TestRun, before: set[str]) -> bool:
    new = run.new_failures(before)
    few = 0 < len(new) <= FLAKY_MOST and test_runs.WHOLE_RUN not in new
    return few and not run.passes(before) and not run.timed_out and run.counts.passed > 0 and run.duration_s < AGAIN_S


def _why(run: test_runs.TestRun, before: set[str]) -> test_runs.TestsFailed:
    new = run.new_failures(before)
    if new:
        return test_runs.TestsFailed(f"{_fail(new)} that did not fail before: {_names(new)}", failing=_few(new))
    if run.counts.total == 0:
        return test_runs.TestsFailed("no test ran: that is not a pass", output=run.output[-1500:])
    if run.failing and not run.counts.passed:
        detail = f"{_fail(run.failing)} as before the change, and none passes: {_names(run.failing)}"
        return test_runs.TestsFailed(detail, failing=_few(run.failing))
    return test_runs.TestsFailed(f"the test command ended with exit code {run.exit_code}", output=run.output[-1500:])


def _fail(failures: dict[str, str]) -> str:
    return "1 test fails" if len(failures) == 1 else f"{len(failures)} tests fail"


def _names(failures: dict[str, str]) -> str:
    more = len(failures) - 3
    return ", ".join(list(failures)[:3]) + (f" and {more} more" if more > 0 else "")


def _few(failures: dict[str, str]) -> dict[str, str]:
    return dict(list(failures.items())[:10])
