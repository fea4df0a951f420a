"""VALIDATE: the gates on the diff, then the engine's own reviewer, who may veto and can never overrule a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

from events.faults import Fault
from operations import permission
from operations.coding import changes, checkouts, coverage_runs, gates, permissions, reproduction
from operations.coding.context import Context, Done, Level, Outcome, Witnessed
from operations.coding.gates import agreed, tests_ran
from operations.coding.gates.judge import under_policy
from operations.coding.gates.linters import linters
from operations.coding.tasks_for_engines import bench_in, engine_for, plan_of, task_for
from operations.models import Evidence, Stage, Step
from resources.sandboxes.protocol import Command
from resources.sandboxes.protocol import Outcome as Ran


class GatesFailed(Fault):
    """A gate is red."""

    code = "gates.failed"
    remedy = "Change what the gate names; an operator may relax the template's gates."


class GatesAsk(Fault):
    """A gate found what the template leaves to a person."""

    code = "gates.asked"
    remedy = 'Answer "yes" to let this very change through; any other answer sends it back with your words.'


class ReviewVetoed(Fault):
    """The reviewer does not agree with the change."""

    code = "review.vetoed"
    remedy = "Read the review; change the requirement, or retry."


def validate(context: Context) -> Outcome:
    """Judge the diff of the tested tree."""
    tree, base_tree = context.tree(Stage.CODE), context.tree(Stage.ANALYZE)
    subject = gates.subject_of(
        vault=context.vault, base_tree=base_tree, tree=tree, limits=context.spec["gates"]
    )  # fmt: skip
    before, tested = context.product(Stage.ANALYZE)["baseline"], context.product(Stage.TEST)
    command = tested["command"]
    measured = coverage_runs.judged(context, subject, tree=tree, command=command)
    shown = reproduction.judged(context, subject, tree=tree, base_tree=base_tree)
    ran = tests_ran.judged(subject, before=before.get("ran", {}), after=tested.get("ran", {}), command=command)
    run = [under_policy(ran, subject), _linters(context, subject, tree, base_tree), measured, shown]
    results = _after_asking(context, tree, [*gates.judge(subject), *run])
    results += [
        agreed.permitted(subject, permissions.read(context.spec)),
        agreed.kept_secrets(subject, context.secrets_seen),
    ]
    for result in results:
        mark, level = ("✓", Level.INFO) if result.passed else ("✗", Level.WARNING)
        context.say(f"{mark} {result.name}: {result.detail}", level=level)
        context.witness(
            Witnessed(kind=Evidence.Kind.GATE, name=result.name, tree=tree, passed=result.passed,
                      detail={"text": result.detail, "findings": list(result.findings), "policy": result.policy.value})
        )  # fmt: skip
    _stop_if_red(context, tree, results)
    return Done({"tree": tree, "gates": [result.name for result in results], **_review(context, tree, subject.diff)})


def _stop_if_red(context: Context, tree: str, results: Sequence[gates.GateResult]) -> None:
    """Refused comes before asked: nobody is bothered with a change that cannot be let through."""
    refused = [f"{result.name}: {result.detail}" for result in results if not result.passed and not result.asks]
    if refused:
        raise GatesFailed("; ".join(refused))
    asked = {result.name: list(result.findings) for result in results if result.asks}
    if not asked:
        return
    words = "; ".join(f"{result.name}: {result.detail}" for result in results if result.asks)
    answer = _answer(context, tree, asked)
    if answer is not None:
        raise GatesFailed(f"a person did not let it through ({answer[:500]}): {words}")
    raise GatesAsk(
        f"{words}. {GatesAsk.remedy}", tree=tree, asked=asked, answers_before=len(context.operation.answers)
    )  # fmt: skip


def _after_asking(context: Context, tree: str, results: list[gates.GateResult]) -> list[gates.GateResult]:
    """The same, green where a person said yes to these very findings on this very tree."""
    asked = {result.name: list(result.findings) for result in results if result.asks}
    answer = _answer(context, tree, asked) if asked else None
    if answer is None or not permission.is_yes(answer):
        return results
    return [result.allowed_by_person() if result.asks else result for result in results]


def _answer(context: Context, tree: str, asked: dict[str, list[str]]) -> str | None:
    """What a person answered when asked this; None while nobody was asked."""
    steps = Step.objects.filter(operation_id=context.operation.pk, stage=Stage.VALIDATE, action="ask")
    for fault in steps.order_by("-id").values_list("fault", flat=True)[:20]:
        facts = (fault or {}).get("facts") or {}
        if facts.get("tree") == tree and facts.get("asked") == asked:
            answers = context.operation.answers[facts["answers_before"] :]
            return str(answers[0]) if answers else None
    return None


def _linters(context: Context, subject: gates.Subject, tree: str, base_tree: str) -> gates.GateResult:
    directory = context.workspace / "lint"
    there = cache(lambda: changes.names_at_top(vault=context.vault, tree=base_tree))

    def read(path: str) -> str | None:
        if path.partition("/")[0] not in there():
            return None
        raw = changes.read_blob(vault=context.vault, tree=base_tree, path=path)
        return None if raw is None else raw.decode("utf-8", "replace")

    def run(command: Command) -> Ran:
        if not made:
            made.append(checkouts.make(context, tree=tree, directory=directory))
        context.say(f"$ {' '.join(command.argv[:5])} …")
        outcome = context.watched.run(command, cancelled=context.lost)
        context.check()
        return outcome

    made: list[object] = []
    return under_policy(linters(subject, read=read, run=run, directory=directory), subject)


def _review(context: Context, tree: str, diff: changes.Diff) -> dict[str, object]:
    engine = engine_for(context)
    facts = {"tests": context.product(Stage.TEST)["counts"], "files": diff.files}
    bench = bench_in(context, context.workspace / "check")
    review = engine.review(task_for(context), plan_of(context), diff.text, facts, bench)
    for comment in review.comments:
        context.say(f"review: {comment}")
    if review.comments or review.criteria or not review.approved:
        context.witness(
            Witnessed(kind=Evidence.Kind.REVIEW, name=engine.kind.value, tree=tree, passed=review.approved,
                      detail={"comments": list(review.comments), "by": engine.label(),
                              "criteria": [asdict(judged) for judged in review.criteria]})
        )  # fmt: skip
    if not review.approved:
        raise ReviewVetoed("; ".join(review.comments) or "the reviewer gave no reason")
    return {"review": list(review.comments), "usage": engine.usage()}
