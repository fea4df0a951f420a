"""``moorage project …``: the repositories that work is done on."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cli import lookup
from cli.call import Call, ago, leaf, metadata
from cli.failures import Misused
from cli.progress import mapping


def add_to(group: Any) -> None:
    """The verbs of a project."""
    leaf(group, "list", list_, "All projects.", limit=True)
    made = leaf(group, "create", create, "Make a project of a repository.")
    made.add_argument("name", help="its name here")
    made.add_argument("repository_url", metavar="URL", help="where git finds it; no credentials in it")
    _add_fields(made)
    leaf(group, "show", show, "One project.", "project")
    changed = leaf(group, "update", update, "Change a project.", "project")
    changed.add_argument("--name", help="its new name")
    changed.add_argument("--repository-url", metavar="URL", help="where git finds it now")
    _add_fields(changed)
    leaf(group, "delete", delete, "Delete a project.", "project").add_argument(
        "-y", "--yes", action="store_true", help="do not ask"
    )


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-branch", metavar="BRANCH", help="where work starts; the remote's own where not given")
    parser.add_argument("--default-template", "--template", metavar="NAME", help="the template of its berths")
    parser.add_argument("--metadata", type=metadata, metavar="JSON", help="a JSON object, or @FILE that holds one")


def _fields(call: Call) -> dict[str, Any]:
    names = ("name", "repository_url", "base_branch", "default_template", "metadata")
    return {name: getattr(call.given, name) for name in names if getattr(call.given, name) is not None}


def list_(call: Call) -> int:
    return call.table(
        list(call.api.rows("projects/", limit=call.given.limit)),
        (
            ("ID", lambda entry: call.short(entry.get("id"))),
            ("NAME", lambda entry: entry.get("name")),
            ("REPOSITORY", lambda entry: entry.get("repository_url")),
            ("BRANCH", lambda entry: entry.get("base_branch")),
            ("TEMPLATE", lambda entry: entry.get("default_template")),
            ("AGE", lambda entry: ago(entry.get("created_at"))),
        ),
    )


def create(call: Call) -> int:
    return call.facts(mapping(call.api.post("projects/", _fields(call))))


def show(call: Call) -> int:
    return call.facts(mapping(call.api.get(f"projects/{_identity(call)}/")))


def update(call: Call) -> int:
    changes = _fields(call)
    if not changes:
        raise Misused("Nothing to change was given; see `moorage project update --help`.")
    return call.facts(mapping(call.api.patch(f"projects/{_identity(call)}/", changes)))


def delete(call: Call) -> int:
    identity = _identity(call)
    if not call.given.yes:
        if not sys.stdin.isatty():
            raise Misused("Deleting a project wants --yes where nobody can be asked.")
        sys.stderr.write(f"Delete project {call.given.project} ({identity})? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Misused("Nothing was deleted.")
    call.api.delete(f"projects/{identity}/")
    return call.answer({"id": identity, "deleted": True}, [f"{identity} deleted"])


def _identity(call: Call) -> str:
    return lookup.id_of(call.api, "projects", call.given.project)
