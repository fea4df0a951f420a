"""``moorage operation …``: look at requested work, and steer it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from cli import lookup, progress, screens, terminal, watching
from cli.call import Call, ago, leaf, positive, read_file
from cli.failures import INTERRUPTED, Misused, Refused

PATIENCE_S = 120
_LOOK_S = 0.3


def add_to(group: Any) -> None:
    """The verbs of an operation."""
    listed = leaf(group, "list", list_, "The newest operations.", limit=True)
    listed.add_argument("-p", "--project", help="of this project only")
    listed.add_argument("--status", help="queued, waiting, running, succeeded, failed or cancelled")
    leaf(group, "show", show, "One operation: state, steps, outcome.", "operation")
    add_patience(leaf(group, "watch", watch, "Follow an operation to its end.", "operation"))
    leaf(group, "cancel", cancel, "Stop an operation.", "operation")
    again = leaf(group, "retry", retry, "Try a failed operation again.", "operation")
    again.add_argument("--stage", help="go on from this stage; from the one that failed where it is not given")
    leaf(group, "approve", approve, "Say yes to what an operation waits for.", "operation")
    answered = leaf(group, "answer", answer, "Answer an operation's question.", "operation")
    answered.add_argument("text", metavar="TEXT", help="the answer; - reads it from stdin")
    taken = leaf(group, "take-over", take_over, "Have an operation's berth to yourself, by hand.", "operation")
    add_patience(taken)
    leaf(group, "hand-back", hand_back, "Let an operation that was taken over go on.", "operation")
    wanted = leaf(group, "rework", rework, "Another round on an operation's open pull request.", "operation")
    wanted.add_argument("text", nargs="?", default="", metavar="TEXT", help="what it should do; - reads it from stdin")
    leaf(group, "leave", leave, "Take an operation's pull request from here on yourself.", "operation")
    leaf(group, "close", close, "Close an operation's pull request without merging it.", "operation")
    leaf(group, "look", look, "Read an operation's pull request at the forge now.", "operation")
    money = leaf(group, "budget", budget, "What an operation has spent and may spend; raise it.", "operation")
    money.add_argument("usd", nargs="?", metavar="USD", help="dollars that it may spend in all from now on")
    leaf(group, "diff", diff, "The change that an operation made.", "operation")
    seen = leaf(group, "events", events, "What happened to an operation, first to last.", "operation", limit=True)
    seen.add_argument("--after", type=positive, metavar="SEQ", help="only what came after this event")
    leaf(group, "evidence", evidence, "What the engine itself saw: tests, gates, reviews.", "operation")


def add_patience(parser: argparse.ArgumentParser) -> None:
    """How long a watcher waits for a server that went away."""
    explanation = f"wait so long for a server that went away ({PATIENCE_S})"
    parser.add_argument("--patience", type=positive, default=PATIENCE_S, metavar="SECONDS", help=explanation)


def list_(call: Call) -> int:
    given = call.given
    project = lookup.id_of(call.api, "projects", given.project) if given.project else None
    found = call.api.rows("operations/", limit=given.limit, project_id=project, status=given.status)
    return call.table(
        list(found),
        (
            ("ID", lambda entry: call.short(entry.get("id"))),
            ("STATUS", lambda entry: entry.get("status")),
            ("STAGE", lambda entry: entry.get("stage")),
            ("DONE", _percent),
            ("ENGINE", lambda entry: progress.mapping(entry.get("engine")).get("kind")),
            ("AGE", lambda entry: ago(entry.get("created_at"))),
            ("", _remark),
        ),
    )


def _percent(operation: dict[str, Any]) -> str:
    share = operation.get("progress")
    return f"{share:.0%}" if isinstance(share, (int, float)) else ""


def _remark(operation: dict[str, Any]) -> str:
    """What matters most about it: a question, its error, why it waits, its branch."""
    error, result = progress.mapping(operation.get("error")), progress.mapping(operation.get("result"))
    asked, why = progress.attention(operation)
    if asked in ("approval_required", "input_required"):
        return f"! {why or asked}"
    if error and operation.get("status") != "succeeded":
        return f"{error.get('code', '')}: {error.get('detail', '')}"
    waits = progress.waiting_for(operation) if operation.get("status") not in progress.TERMINAL else []
    return ", ".join(waits) or str(result.get("branch") or operation.get("title") or "")


def show(call: Call) -> int:
    identity = _identity(call)
    operation = progress.mapping(call.api.get(f"operations/{identity}/"))
    if call.as_json:
        return call.answer(operation)
    names = (
        "id",
        "project_id",
        "agent_id",
        "status",
        "stage",
        "priority",
        "capability",
        "created_at",
        "completed_at",
    )
    lines = terminal.facts(((name, operation.get(name)) for name in names), width=call.width)
    lines += [progress.step_line(step) for step in call.api.rows(f"operations/{identity}/steps/")]
    ended = operation.get("status") in progress.TERMINAL
    lines += progress.closing(operation) if ended else [progress.current_line(operation)]
    lines += [question] if (question := progress.way_on(operation)) else []
    return call.answer(operation, (terminal.fit(line, call.width) for line in lines))


def watch(call: Call) -> int:
    return follow(call, _identity(call))


def follow(call: Call, identity: str) -> int:
    """Watch an operation; ^C ends the watching and leaves the operation alone."""
    screen = screens.screen_for(sys.stdout, as_json=call.as_json)
    try:
        return watching.watch(call.api, identity, screen=screen, patience_s=call.given.patience)
    except KeyboardInterrupt:
        terminal.complain(
            [
                "",
                "No longer watching; the operation goes on.",
                f"  to watch again: moorage operation watch {identity}",
                f"  to stop it:     moorage operation cancel {identity}",
            ]
        )
        return INTERRUPTED


def cancel(call: Call) -> int:
    return _steer(call, "cancel")


def retry(call: Call) -> int:
    return _steer(call, "retry", {"stage": call.given.stage} if call.given.stage else None)


def approve(call: Call) -> int:
    return _steer(call, "approve")


def answer(call: Call) -> int:
    text = read_file("-") if call.given.text == "-" else call.given.text
    if not text.strip():
        raise Misused("The answer is empty.")
    return _steer(call, "answer", {"text": text})


def take_over(call: Call) -> int:
    """It is over once the stage that ran has left the berth; then a terminal of the agent can be attached to."""
    identity = _identity(call)
    operation = progress.mapping(call.api.post(f"operations/{identity}/take-over/"))
    deadline = time.monotonic() + call.given.patience
    if _promised(operation):
        terminal.complain(["The berth is yours once the plan is made: before, there is nothing in it to change."])
    while (_promised(operation) or _berth(operation) == "being_left") and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        operation = progress.mapping(call.api.get(f"operations/{identity}/"))
    if _promised(operation):
        again = f"  to look again:  moorage operation take-over {terminal.clean(identity)}"
        return call.answer(operation, ["The plan is not made yet.", again])
    if not _berth(operation):
        raise Refused(f"The operation is {terminal.clean(operation.get('status'))}: its berth was not taken over.")
    if _berth(operation) == "being_left":
        terminal.complain(["The stage that ran has not left the berth yet."])
    agent = terminal.clean(operation.get("agent_id") or "")
    lines = [
        f"The berth of {agent} is yours; its files are beneath tree.",
        f"  to work there:  moorage attach --new --take {agent}",
        f"  when done:      moorage operation hand-back {terminal.clean(identity)}",
    ]
    return call.answer(operation, lines)


def hand_back(call: Call) -> int:
    return _steer(call, "hand-back")


def _promised(operation: dict[str, Any]) -> bool:
    """Whether the berth is still to be handed over."""
    return bool(operation.get("take_over_by")) and operation.get("status") not in progress.TERMINAL


def rework(call: Call) -> int:
    text = read_file("-") if call.given.text == "-" else call.given.text
    return _steer(call, "rework", {"text": text})


def leave(call: Call) -> int:
    return _steer(call, "leave")


def close(call: Call) -> int:
    return _steer(call, "close")


def look(call: Call) -> int:
    return _steer(call, "look")


def _berth(operation: dict[str, Any]) -> str:
    """Whether the berth of an operation that was taken over is free; empty where it was not."""
    reasons = [progress.mapping(reason) for reason in operation.get("blocked_by") or []]
    return next((str(reason.get("berth")) for reason in reasons if reason.get("kind") == "taken_over"), "")


def budget(call: Call) -> int:
    """Show the accounts; with an amount, set the run's own limit first."""
    path = f"operations/{_identity(call)}/budget/"
    if call.given.usd is not None:
        try:
            dollars = float(call.given.usd.removeprefix("$"))
        except ValueError:
            raise Misused(f"{call.given.usd!r} is no amount in dollars.") from None
        call.api.put(path, {"usd": dollars})
    return call.table(
        list(call.api.rows(path)),
        (
            ("BUDGET OF", lambda entry: entry.get("scope")),
            ("PERIOD", lambda entry: entry.get("period") or "in all"),
            ("SPENT", lambda entry: f"${entry.get('spent_usd') or 0:.4f}"),
            ("HELD", lambda entry: f"${entry.get('held_usd') or 0:.4f}"),
            ("LIMIT", lambda entry: "none" if entry.get("limit_usd") is None else f"${entry['limit_usd']:.2f}"),
            ("CALLS", lambda entry: entry.get("calls")),
            ("TOKENS", lambda entry: entry.get("tokens")),
        ),
    )


def _steer(call: Call, verb: str, body: dict[str, Any] | None = None) -> int:
    operation = progress.mapping(call.api.post(f"operations/{_identity(call)}/{verb}/", body))
    state = f"{operation.get('id', '')} {operation.get('status', '')}, stage {operation.get('stage', '')}"
    return call.answer(operation, [terminal.clean(state)])


def diff(call: Call) -> int:
    """The unified diff; with ``--json`` also its counts."""
    document = progress.mapping(call.api.get(f"operations/{_identity(call)}/diff/"))
    text = str(document.get("text") or "")
    if document.get("truncated"):
        terminal.complain(["The diff is longer than what the server shows of it."])
    if not text:
        terminal.complain(["There is no change yet."])
    return call.answer(document, terminal.clean_lines(text.removesuffix("\n")) if text else ())


def events(call: Call) -> int:
    given = call.given
    path = f"operations/{_identity(call)}/events/"
    found = sorted(
        call.api.rows(path, limit=given.limit, after=given.after),
        key=lambda entry: entry["seq"] if isinstance(entry.get("seq"), int) else 0,
    )
    return call.table(
        found,
        (
            ("SEQ", lambda entry: entry.get("seq")),
            ("AT", lambda entry: entry.get("timestamp") or entry.get("created_at")),
            ("KIND", lambda entry: entry.get("kind") or progress.mapping(entry.get("payload")).get("kind")),
            ("ACTOR", lambda entry: entry.get("actor")),
            ("REASON", lambda entry: entry.get("reason")),
        ),
    )


def evidence(call: Call) -> int:
    return call.table(
        list(call.api.rows(f"operations/{_identity(call)}/evidence/")),
        (
            ("", lambda entry: "✓" if entry.get("passed") else "✗"),
            ("KIND", lambda entry: entry.get("kind")),
            ("NAME", lambda entry: entry.get("name")),
            ("TREE", lambda entry: str(entry.get("tree") or "")[:10]),
            ("EXIT", lambda entry: entry.get("exit_code")),
            ("TESTS", lambda entry: progress.counted(entry.get("counts"))),
            ("TIER", lambda entry: entry.get("tier")),
        ),
    )


def _identity(call: Call) -> str:
    return lookup.id_of(call.api, "operations", call.given.operation)
