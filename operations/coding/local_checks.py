"""The local forge's own check: a command of the template or the project, run in the berth on the delivered tree."""

from __future__ import annotations

from operations.coding import checkouts, wishes
from operations.coding.context import Context
from operations.coding.forges.logs import masked
from operations.coding.forges.protocol import Check, CheckState
from resources.sandboxes.protocol import Command

NAME = "local check"


def run(context: Context, *, tree: str) -> Check | None:
    """Run it on a fresh checkout; None where there is none. Only its exit code counts."""
    wanted = wishes.local_check(context.spec, context.operation.project.metadata)
    if wanted is None:
        return None
    directory = context.workspace / "local-check"
    checkouts.make(context, tree=tree, directory=directory)
    context.say(f"$ {' '.join(wanted.command)}")
    outcome = context.equipped.run(
        Command(argv=wanted.command, cwd=directory, timeout_s=wanted.timeout_s), cancelled=context.lost
    )
    context.check()
    output = masked(context.mask.text(outcome.text(20_000)))
    context.say(output)
    if outcome.timed_out:
        output = f"{output}\n(it did not end within {wanted.timeout_s} s)"
    state = CheckState.PASSED if outcome.ok else CheckState.FAILED
    return Check(NAME, state, summary=output.strip(), source="local")
