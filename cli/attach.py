"""``moorage attach``: the terminal of an agent in this one."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from typing import Any
from uuid import UUID

from cli import lookup, terminal
from cli.call import Call, leaf
from cli.failures import Misused, Refused
from cli.progress import TERMINAL, mapping
from cli.raw_terminal import RawTerminal

_OPEN = ("opening", "live", "detached")
_KEY = re.compile(r"(?:ctrl-|c-|\^)([a-z@\[\\\]^_])", re.IGNORECASE)
_DEFAULT_KEY = "ctrl-]"


def add_to(group: Any) -> None:
    """The command."""
    one = leaf(group, "attach", attach, "Be at a terminal in the berth of an agent.")
    one.add_argument(
        "terminal", metavar="TERMINAL|AGENT", help="id of a terminal, the beginning of one, or its title; or an agent"
    )
    one.add_argument("--watch", action="store_true", help="see an agent at work, or the agent of an operation")
    one.add_argument("--read-only", action="store_true", help="watch, and never type")
    one.add_argument("--take", action="store_true", help="take control even when somebody has it")
    one.add_argument("--new", action="store_true", help="open another terminal of the agent")
    one.add_argument(
        "--detach-key", type=_key, default=_DEFAULT_KEY, metavar="KEY", help=f"leaves the terminal ({_DEFAULT_KEY})"
    )


def _key(text: str) -> int:
    found = _KEY.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a key like ctrl-] or ctrl-q")
    code = ord(found[1].upper()) & 0x1F
    if code in b"\x03\x08\x09\x0a\x0d\x1b":
        raise argparse.ArgumentTypeError(f"{text} is needed in the terminal itself; take another key")
    return code


def attach(call: Call) -> int:
    given = call.given
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Misused("`moorage attach` needs a terminal on its input and output.")
    if given.read_only and (given.take or given.new):
        raise Misused("--read-only goes with neither --take nor --new.")
    if given.watch and (given.take or given.new):
        raise Misused("--watch goes with neither --take nor --new: nobody types there, and there is one of each agent.")
    row = _opened(call, _at_work(call, given.terminal), kind="watch") if given.watch else _find(call)
    # Loaded here and not above: no other command needs a websocket.
    from cli.attached import Manner, attached

    name = terminal.clean(row.get("title") or row["id"])
    terminal.complain([f"Attached to {name}. {_name_of(given.detach_key)} leaves it; the program runs on."])
    manner = Manner(read_only=given.read_only or given.watch, take=given.take, detach_key=given.detach_key)
    with RawTerminal(sys.stdin.fileno(), sys.stdout.fileno()) as screen:
        code, words = asyncio.run(
            attached(line=call.api.relay(), terminal_id=UUID(row["id"]), screen=screen, manner=manner)
        )
    terminal.complain([f"\nmoorage: {terminal.clean(words)}"] if words else [])
    return code


def _name_of(code: int) -> str:
    return f"Ctrl-{chr(code | 0x40)}"


def _find(call: Call) -> dict[str, Any]:
    """The terminal that is meant; one of the agent's, or a new one where it has none open."""
    given = call.given.terminal
    if not call.given.new and (found := _terminal(call, given)):
        return found
    agent = _agent(call, given)
    rows = [
        row for row in call.api.rows("sessions/")
        if row.get("agent_id") == agent and row.get("state") in _OPEN and row.get("kind") != "watch"
    ]  # fmt: skip
    if len(rows) == 1 and not call.given.new:
        return _checked(rows[0])
    if rows and not call.given.new:
        listed = (f"  {row.get('id')}  {row.get('title') or row.get('state')}" for row in rows)
        raise Misused(f"The agent has {len(rows)} open terminals; say which, or --new:", *listed)
    if call.given.read_only:
        raise Refused("The agent has no open terminal, and --read-only opens none.")
    return _opened(call, agent, kind="shell")


def _opened(call: Call, agent: str, *, kind: str) -> dict[str, Any]:
    wanted = {"agent_id": agent, "kind": kind, "columns": terminal.columns(sys.stdout), "rows": 24}
    return _checked(mapping(call.api.post("sessions/", wanted)))


def _at_work(call: Call, given: str) -> str:
    """The agent of the operation that is meant; else the agent itself."""
    try:
        found = lookup.id_of(call.api, "operations", given)
        operation = mapping(call.api.get(f"operations/{found}/"))
    except Refused as refused:
        if refused.status not in (0, 404):
            raise
        return _agent(call, given, what="no operation and no agent")
    identity, status = lookup.answered_id(operation), terminal.clean(operation.get("status"))
    if status in TERMINAL:
        raise Refused(
            f"The operation has ended ({status}): nobody works any more.",
            f"What its stages said: moorage operation show {identity}",
        )
    if not operation.get("agent_id"):
        raise Refused(
            f"The operation is {status} and has no berth yet: there is nothing to watch.",
            f"To follow it until there is: moorage operation watch {identity}",
        )
    return str(operation["agent_id"])


def _terminal(call: Call, given: str) -> dict[str, Any] | None:
    try:
        wanted = str(UUID(given))
    except ValueError:
        wanted = ""
    if wanted:
        try:
            return _checked(mapping(call.api.get(f"sessions/{wanted}/")))
        except Refused as refused:
            if refused.status != 404:
                raise
            return None
    prefix = given.lower() if len(given) >= lookup.SHORTEST_PREFIX else "-"
    rows = [row for row in call.api.rows("sessions/") if row.get("state") in _OPEN]
    named = [row for row in rows if row.get("title") == given] or [
        row for row in rows if str(row.get("id", "")).startswith(prefix)
    ]
    if len(named) > 1:
        listed = (f"  {row.get('id')}  {row.get('title') or ''}" for row in named[:10])
        raise Misused(f"{given!r} means {len(named)} terminals; give more of the id:", *listed)
    return _checked(named[0]) if named else None


def _agent(call: Call, given: str, *, what: str = "no open terminal and no agent") -> str:
    try:
        found = lookup.id_of(call.api, "agents", given)
        return lookup.answered_id(mapping(call.api.get(f"agents/{found}/")))
    except Refused as refused:
        if refused.status not in (0, 404):
            raise
        raise Refused(f"There is {what} {given!r} that you may see.", "`moorage agent list` shows agents.") from refused


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    lookup.answered_id(row)
    return row
