"""The request that a form holds as people would make it elsewhere: with curl, and on the command line. No secret."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents import size_choice
from agents.engines.protocol import EngineKind
from agents.models import Priority
from agents.outfits import outfit
from agents.sizes import AMOUNTS
from events.faults import Fault
from events.operator_pages import told
from operations.models import Operation

LONGEST_SHOWN = 4_000  # characters of a requirement; a longer one is given as a file
_FILE = "requirement.md"


_USER_PART = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class Calls:
    """The same request twice; ``as_file`` where the requirement is too long to be shown."""

    curl: str
    command: str
    as_file: bool


def of(data: Mapping[str, Any]) -> Calls:
    """The calls for a form's cleaned data; what is not chosen yet stands in capitals."""
    text = str(data.get("requirements", ""))
    chosen = _chosen(data)
    project = str(data["project"].pk) if data.get("project") else ""
    as_file = len(text) > LONGEST_SHOWN
    new = {} if project else _new_project(data)
    return Calls(
        _curl(project, text, chosen, new=new, as_file=as_file),
        _command(project, text, chosen, new=new, as_file=as_file), as_file,
    )  # fmt: skip


def name_of(url: str) -> str:
    """The last part of an address, as people call the repository."""
    last = url.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return last.removesuffix(".git")[:100] or "repository"


def _new_project(data: Mapping[str, Any]) -> dict[str, str]:
    """The project that the request would make first; empty where nothing says which."""
    if not (url := str(data.get("repository_url") or "")):
        return {}
    given = {
        "name": data.get("name") or name_of(without_user(url)), "repository_url": without_user(url),
        "base_branch": data.get("base_branch"), "default_template": data.get("template"),
    }  # fmt: skip
    return {name: str(value) for name, value in given.items() if value}


def without_user(url: str) -> str:
    """The address without what stands before its ``@``: somebody may have put a password there."""
    return _USER_PART.sub("", url) if url.lower().startswith("http") else url


def size_of(data: Mapping[str, Any]) -> str:
    """What its berth takes of a host, and how much of that may be chosen, in words; or why it cannot be had."""
    project = data.get("project")
    template = data.get("template") or (project.default_template if project else "python")
    try:
        fitted = outfit(template)
        may = size_choice.bounds(fitted)
        size_choice.check(fitted, wanted_size(data))
        size = fitted.sized(wanted_size(data)).size
    except Fault as fault:
        return told(fault)
    cores = f"{size.cpu_millis / 1000:g} core{'s' * (size.cpu_millis != 1000)}"
    taken = f"{template}: {size.memory_mb:,} MB of memory, {cores}, {size.disk_mb:,} MB of disk, one slot."
    ranges = [f"{least:,} to {most:,} {size_choice.WORDS[name]}" for name, (least, most) in may.items() if least < most]
    return f"{taken} You may choose {', '.join(ranges)}." if ranges else f"{taken} It lets nobody choose another size."


def wanted_size(data: Mapping[str, Any]) -> dict[str, int]:
    """What a form's cleaned data says of the size; what is left empty is the template's to say."""
    return {name: data[name] for name in AMOUNTS if data.get(name) is not None}


def _chosen(data: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from what the server would take anyway."""
    size = wanted_size(data)
    given: dict[str, Any] = {
        "engine": data.get("engine", ""), "template": data.get("template", ""), "size": size,
        "approval": data.get("approval", ""),
        "priority": str(data.get("priority", Priority.NORMAL).label) if data.get("priority", "") != "" else "",
    }  # fmt: skip
    usual = {"engine": EngineKind.AUTO.value, "approval": Operation.Approval.NONE.value,
             "priority": str(Priority.NORMAL.label)}  # fmt: skip
    return {name: value for name, value in given.items() if value and value != usual.get(name)}


def _call(path: str) -> str:
    return (
        f'curl --fail-with-body "$MOORAGE_URL/api/v1/{path}/" \\\n'
        '  -H "Authorization: Bearer $MOORAGE_TOKEN" -H "Content-Type: application/json" \\\n'
        "  --data-binary @-"
    )


def _curl(project: str, text: str, chosen: Mapping[str, Any], *, new: Mapping[str, str], as_file: bool) -> str:
    body: dict[str, Any] = {"type": "coding", "project_id": project or "PROJECT_ID", "requirements": text, **chosen}
    call, given = _call("operations"), ""
    first = f"project=$({_here(_call('projects'), new, then=' | jq --raw-output .id')}\n)\n" if new else ""
    if as_file:
        given = f" --rawfile text {_FILE}"
        body["requirements"] = "$text"
    if new:
        given += ' --arg project "$project"'
        body["project_id"] = "$project"
    if not given:
        return _here(call, body)
    if as_file:
        # What a program of jq names is not quoted.
        document = json.dumps(body).replace('"$text"', "$text").replace('"$project"', "$project")
        return f"{first}jq -n{given} '{document}' |\n{call}"
    return first + _here(f"jq{given} '.project_id = $project'", body, then=f" | {call}")


def _here(command: str, document: Mapping[str, Any], *, then: str = "") -> str:
    # Each line of the document begins with a blank or a brace: none is the mark that ends it.
    return f"{command} <<'JSON'{then}\n{json.dumps(document, indent=2, ensure_ascii=False)}\nJSON"


def _command(project: str, text: str, chosen: Mapping[str, Any], *, new: Mapping[str, str], as_file: bool) -> str:
    lines = []
    if new:
        branch = ["--base-branch", new["base_branch"]] if "base_branch" in new else []
        lines.append(shlex.join(["moorage", "project", "create", new["name"], new["repository_url"], *branch]))
    size = {name.replace("_", "-"): str(amount) for name, amount in chosen.get("size", {}).items()}
    words = {**{name: value for name, value in chosen.items() if name != "size"}, **size}
    options = [part for name, value in words.items() for part in (f"--{name}", value)]
    call = shlex.join(["moorage", "run", "--project", project or new.get("name", "NAME"), *options])
    if as_file:
        return "\n".join([*lines, f"{call} --file {_FILE}"])
    mark = "REQUIREMENT"
    while mark in text.splitlines():
        mark += "_"
    return "\n".join([*lines, f"{call} --file - <<'{mark}'", text.rstrip("\n"), mark])
