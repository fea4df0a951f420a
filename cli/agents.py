"""``moorage agent …``: who works, where, and how they are."""

from __future__ import annotations

from typing import Any

from cli import lookup, progress, terminal
from cli.call import Call, ago, leaf, positive
from cli.progress import mapping


def add_to(group: Any) -> None:
    """The verbs of an agent."""
    leaf(group, "list", list_, "The newest agents.", limit=True)
    leaf(group, "show", show, "One agent.", "agent")
    made = leaf(group, "create", create, "Ask for an agent with a berth of its own.")
    made.add_argument("--template", required=True, metavar="NAME", help="what its berth looks like")
    made.add_argument("--name", help="its name; one is found where none is given")
    made.add_argument("-p", "--project", help="the project it works for")
    made.add_argument("--capability", dest="capabilities", action="append", metavar="NAME", help="may be given again")
    leaf(group, "stop", stop, "Stop an agent and clear its berth away.", "agent")
    leaf(group, "retry", retry, "Give an agent in error a new berth.", "agent")
    longer = leaf(group, "extend", extend, "Keep an idle agent for longer.", "agent")
    longer.add_argument("--minutes", type=positive, default=60, metavar="N", help="for N minutes from now (60)")
    leaf(group, "hand-over", hand_over, "Make an agent another user's.", "agent").add_argument(
        "user", help="who gets it"
    )
    leaf(group, "health", health, "The verdict on an agent, and the dated facts behind it.", "agent")


def list_(call: Call) -> int:
    return call.table(
        list(call.api.rows("agents/", limit=call.given.limit)),
        (
            ("ID", lambda entry: call.short(entry.get("id"))),
            ("NAME", lambda entry: entry.get("name")),
            ("STATE", lambda entry: entry.get("state")),
            ("TEMPLATE", lambda entry: entry.get("template")),
            ("HOST", lambda entry: entry.get("host")),
            ("TIER", lambda entry: entry.get("tier")),
            ("AGE", lambda entry: ago(entry.get("created_at"))),
            ("", _remark),
        ),
    )


def _remark(agent: dict[str, Any]) -> str:
    error = mapping(agent.get("error"))
    if error:
        return f"{error.get('code', '')}: {error.get('detail', '')}"
    return ", ".join(progress.waiting_for(agent))


def show(call: Call) -> int:
    return call.facts(mapping(call.api.get(f"agents/{_identity(call)}/")), but=("resolved",))


def create(call: Call) -> int:
    given = call.given
    body = {"template": given.template, "name": given.name, "capabilities": given.capabilities}
    if given.project:
        body["project_id"] = lookup.id_of(call.api, "projects", given.project)
    made = call.api.post("agents/", {name: value for name, value in body.items() if value is not None})
    return call.facts(mapping(made), but=("resolved",))


def stop(call: Call) -> int:
    return _steer(call, "stop")


def retry(call: Call) -> int:
    return _steer(call, "retry")


def extend(call: Call) -> int:
    return _steer(call, "extend", {"seconds": call.given.minutes * 60})


def hand_over(call: Call) -> int:
    return _steer(call, "hand-over", {"user": call.given.user})


def _steer(call: Call, verb: str, body: dict[str, Any] | None = None) -> int:
    agent = mapping(call.api.post(f"agents/{_identity(call)}/{verb}/", body))
    return call.answer(agent, [terminal.clean(f"{agent.get('id', '')} {agent.get('state', '')}")])


def health(call: Call) -> int:
    document = mapping(call.api.get(f"agents/{_identity(call)}/health/"))
    verdict = f"{document.get('verdict', 'unknown')}: {document.get('cause', '')}"
    rows = [
        (
            entry.get("kind"),
            "ok" if entry.get("ok") else "no",
            entry.get("observed_at"),
            entry.get("detail"),
        )
        for entry in map(mapping, document.get("facts") or ())
    ]
    lines = [
        terminal.clean(verdict),
        *terminal.table(("FACT", "OK", "SEEN", "DETAIL"), rows, width=call.width),
    ]
    return call.answer(document, lines)


def _identity(call: Call) -> str:
    return lookup.id_of(call.api, "agents", call.given.agent)
