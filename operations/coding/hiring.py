"""An agent program is put to work: its berth, its way to models, and what people decided about what it asks for."""

from __future__ import annotations

from django.utils import timezone

from agents import equipment
from agents.engines.external import assignment
from agents.engines.external.assignment import Stopped
from agents.engines.protocol import Engine
from agents.gateway import berth_ways
from agents.gateway.tokens import Run
from agents.models import Fact
from operations import permission
from operations.coding import permissions, vault
from operations.coding.context import Context


def hire(context: Context, *, run: Run) -> Engine:
    """The engine of the template's agent program.

    It works with the side services of the template and with none of its secrets: the token of its run is all it has.
    Raises EngineUnavailable where the template names no program, NotPermitted where it lets the engine run none.
    """
    from agents.engines.external import engine  # the protocol's types load with it, and only where a program works

    spec = context.spec
    hired = assignment.read(spec)
    permissions.read(spec).check_run(hired.program[0])
    operation = context.operation
    return engine.ExternalEngine(hired, engine.Post(
        sandbox=equipment.equip_without_secrets(context.agent, context.watched, say=context.say),
        workspace=context.workspace,
        directory=context.workspace / "tree",
        way=lambda: berth_ways.opened(
            run, ttl_s=engine.LONGEST_S + 60, now=timezone.now(),
            called=lambda model: context.seen(Fact.Kind.LAST_MODEL_CALL, model),
        ),
        told=lambda call: _tell(context, call),
        decided=permission.decided(operation),
        stopped=stopped_at(context),
        known=operation.engine_label if operation.engine_kind == engine.ExternalEngine.kind else "",
    ))  # fmt: skip


def stopped_at(context: Context) -> Stopped | None:
    """Where the program goes on that was stopped for a person's decision; None where its files are not here."""
    stopped = permission.stopped(context.operation)
    return stopped if stopped and stopped.tree and vault.has(context.vault, stopped.tree) else None


def _tell(context: Context, call: dict[str, str]) -> None:
    """A tool call of the program becomes an event of the operation, as long as this attempt has a say."""
    words = {name: context.secrets_seen.text(text) for name, text in call.items()}
    context.seen(Fact.Kind.LAST_TOOL_RESULT, f"{words['kind']}: {words['title']}")
    context.record("operation.tool_call", tool=words)
