"""CODE: the engine edits a checkout; what it left there becomes a tree in the vault."""

from __future__ import annotations

from agents.engines.protocol import EngineKind
from events.faults import Fault
from operations.coding import changes, repository, vault
from operations.coding.context import Context, Done, Outcome
from operations.coding.tasks_for_engines import bench_in, engine_for, plan_of, task_for
from operations.models import Stage
from resources.sandboxes.protocol import Command

DIFF_KEPT = 400_000  # characters of the diff that the step row keeps, for people; the vault has all of it

# Engines whose next attempt is about what the last one left; the others start from the base again.
GO_ON_FROM_LAST = frozenset({EngineKind.LLM, EngineKind.REPLAY})


class DoesNotCompile(Fault):
    """A changed file cannot be parsed any more."""

    code = "code.does_not_compile"
    remedy = "Correct the syntax at the places named."


class NoChanges(Fault):
    """The engine left the code as it was."""

    code = "code.no_changes"
    remedy = "Say more exactly what should change, or check whether it is there already."


# Reads names from standard input and compiles each: nothing is imported, nothing is written.
_COMPILE = """
import sys, tokenize
for name in sys.stdin.read().split("\\0"):
    if name:
        try:
            with tokenize.open(name) as file:
                compile(file.read(), name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            print(f"{name}:{getattr(error, 'lineno', 0)}: {error}")
"""


def code(context: Context) -> Outcome:
    """One attempt. It starts from the base, or, for engines that correct themselves, from their last attempt."""
    operation = context.operation
    engine, task = engine_for(context), task_for(context)
    base_tree = context.tree(Stage.ANALYZE)
    last = context.product(Stage.CODE).get("tree") if task.attempt > 1 and engine.kind in GO_ON_FROM_LAST else None
    directory = context.workspace / "tree"
    context.say(f"attempt {task.attempt} with {engine.label()}")
    repository.checkout(
        sandbox=context.sandbox,
        vault=context.vault,
        tree=last or base_tree,
        directory=directory,
        cancelled=context.lost,
    )
    edits = engine.code(task, plan_of(context), bench_in(context, directory))
    context.check()
    tree = repository.snapshot(
        sandbox=context.sandbox, vault=context.vault, directory=directory, base_tree=base_tree, cancelled=context.lost
    )
    if tree == base_tree:
        raise NoChanges("after this attempt the code is what it was before")
    vault.preserve(vault=context.vault, name=tree, operation_id=operation.pk, label=f"turn-{operation.turn}")
    diff = changes.diff(vault=context.vault, base_tree=base_tree, tree=tree)
    _compile(context, [change.path for change in diff.changes if change.status != "D" and change.path.endswith(".py")])
    context.say(f"{diff.files} files, +{diff.insertions} -{diff.deletions}")
    return Done(
        {
            "tree": tree,
            "summary": edits.summary,
            "diffstat": {"files": diff.files, "insertions": diff.insertions, "deletions": diff.deletions},
            "diff": diff.shortened(DIFF_KEPT).as_dict(),
            "attempt": task.attempt,
            "usage": engine.usage(),
        },
        # After the call it names the models that really answered.
        fields={"engine_label": engine.label()[:120]},
    )


def _compile(context: Context, paths: list[str]) -> None:
    if not paths:
        return
    outcome = context.sandbox.run(
        Command(
            argv=("python3", "-I", "-c", _COMPILE),
            cwd=context.workspace / "tree",
            stdin="\0".join(paths).encode("utf-8", "surrogateescape"),
            timeout_s=120,
        ),
        cancelled=context.lost,
    )
    found = outcome.text(3000).strip()
    if not outcome.ok or found:
        context.say(found)
        raise DoesNotCompile(found or f"the compiler ended with exit code {outcome.exit_code}")
