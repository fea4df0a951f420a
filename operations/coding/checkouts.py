"""Checkouts that commands run in: fresh from the vault, with the template's packages there and its setup hooks run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from events.faults import Fault, FaultClass
from operations.coding import packages, repository
from operations.coding.context import Context, Level
from resources.sandboxes.protocol import Command

HOOK_TIMEOUT_S = 900  # where the template does not say
OUTPUT_KEPT = 2000  # characters of a failed hook's output that go with the fault


class HookFailed(Fault):
    """A setup hook of the template ended with an error, did not end, or could not be started."""

    fault_class = FaultClass.CONFIGURATION
    code = "hooks.failed"
    remedy = "Mend hooks.setup in the template, or give its berths what the command needs; then retry."


def make(context: Context, *, tree: str, directory: Path) -> tuple[str, ...]:
    """Make ``directory`` a fresh checkout of ``tree`` and set it up; returns what the hooks left beside its files.

    That is no part of any change: hand it to :func:`operations.coding.repository.snapshot` as ``leave_out``.
    """
    repository.checkout(
        sandbox=context.sandbox, vault=context.vault, tree=tree, directory=directory, cancelled=context.lost
    )
    packages.provide(context)
    hooks = context.spec["hooks"]["setup"]
    if not hooks:
        return ()
    for number, argv in enumerate(hooks, start=1):
        _run(context, tuple(argv), directory=directory, place=f"{number} of {len(hooks)}")
    return repository.untracked(sandbox=context.sandbox, directory=directory, cancelled=context.lost)


def left_by_hooks(context: Context, *, tree: str) -> tuple[str, ...]:
    """What the hooks leave beside the files of ``tree``, found out on a checkout of its own; nothing without hooks."""
    if not context.spec["hooks"]["setup"]:
        return ()
    return make(context, tree=tree, directory=context.workspace / "beside")


def _run(context: Context, argv: Sequence[str], *, directory: Path, place: str) -> None:
    words = " ".join(argv)[:300]
    context.say(f"setup hook {place}: $ {words}")
    timeout_s = context.spec["hooks"].get("setup_timeout_s", HOOK_TIMEOUT_S)
    command = Command(argv=tuple(argv), cwd=directory, timeout_s=timeout_s)
    outcome = context.equipped.run(command, cancelled=context.lost)
    context.check()
    output = outcome.text(OUTPUT_KEPT).strip()
    if output:
        context.say(output, level=Level.INFO if outcome.ok else Level.ERROR)
    if outcome.ok:
        context.say(f"  done after {outcome.duration_s:.1f} s")
        return
    if outcome.timed_out:
        ended = f"did not end within {timeout_s:g} s"
    elif outcome.exit_code in {126, 127}:
        ended = "cannot be started"
    else:
        ended = f"ended with exit code {outcome.exit_code}"
    raise HookFailed(f"setup hook {place} ({words[:120]}) {ended}", output=output)
