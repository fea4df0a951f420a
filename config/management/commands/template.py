"""``manage.py template``: templates on this machine, without the HTTP API."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from agents import outfit_changes
from agents.models import Agent
from events.faults import Fault
from templates_app import active, library, verdicts, watching
from templates_app.documents import Document, parse
from templates_app.faults import Located, TemplateFault
from templates_app.verdicts import heirs_of
from templates_app.yaml_text import MAX_BYTES


class Command(BaseCommand):
    help = "Checks templates, puts changed files into force, and brings running agents what has changed."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        checking = actions.add_parser("validate", help="check files, or all templates of this machine")
        checking.add_argument("files", metavar="FILE", nargs="*", type=Path, help="without one: all that are here")
        updating = actions.add_parser("update-agent", help="bring an agent what its template says now")
        updating.add_argument("name", metavar="NAME", help="the agent's name or id")
        updating.add_argument("--dry-run", action="store_true", help="only say what it would get")
        actions.add_parser("sync", help="put changed files into force now, as the running stack does by itself")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "validate":
            self._validate(options["files"])
        elif options["action"] == "sync":
            self._sync()
        else:
            self._update(options["name"], dry_run=options["dry_run"])

    def _validate(self, paths: list[Path]) -> None:
        documents, errors = _given(paths) if paths else _here()
        known = active.templates().documents if paths else {}
        after = verdicts.applied(known, documents)
        for name in sorted({*documents, *(heirs_of(documents, after) if paths else ())}):
            fault = verdicts.failure_of(name, after)
            if fault is not None and (name in documents or verdicts.failure_of(name, known) is None):
                errors += fault.errors
        for error in errors:
            self.stderr.write(str(error))
        if errors:
            raise CommandError(f"{len(errors)} error{'s' * (len(errors) != 1)}.")
        self.stdout.write(f"{len(documents)} template{'s' * (len(documents) != 1)}: all sound.")

    def _sync(self) -> None:
        outcome = watching.sync(host=settings.HOST_NAME, directories=settings.TEMPLATE_DIRECTORIES)
        for name in outcome.changed:
            self.stdout.write(f"{name}: in force")
        for name, fault in outcome.refused.items():
            self.stderr.write(f"{name}: refused: {fault.detail}")
        if outcome.refused:
            raise CommandError(f"{len(outcome.refused)} refused; what was in force before stays.")
        if not outcome.changed:
            self.stdout.write("Nothing has changed.")

    def _update(self, name: str, *, dry_run: bool) -> None:
        agent = _agent(name)
        now = outfit_changes.InForce()
        if agent.state != Agent.State.RUNNING:
            raise CommandError(f"{agent.name} is {agent.state}: it gets the newest template with its next berth.")
        try:
            behind = outfit_changes.lacking(agent, now)
            got = (
                outfit_changes.live_changes(agent, now) if dry_run
                else outfit_changes.update(agent, actor="operator", now=now)
            )  # fmt: skip
        except Fault as fault:
            raise CommandError(f"{fault.detail} {fault.remedy_text}") from fault
        for change in got:
            self.stdout.write(f"{'would get' if dry_run else 'got'}  {change}")
        for change in behind:
            self.stdout.write(f"lacks  {change}  (comes with a new berth)")
        if not got and not behind:
            self.stdout.write(f"{agent.name} has what {agent.template} says.")


def _agent(name: str) -> Agent:
    """The agent of a name or id; of several by that name, the one that is not gone."""
    wanted = Q(name=name)
    with suppress(ValueError):
        wanted |= Q(pk=UUID(name))
    found = list(Agent.objects.select_related("host").filter(wanted).exclude(state=Agent.State.STOPPED)[:3])
    if len(found) != 1:
        raise CommandError(
            f"{len(found)} agents are called {name!r}: give the id." if found else f"There is no agent {name!r}."
        )
    return found[0]


def _given(paths: list[Path]) -> tuple[dict[str, Document], list[Located]]:
    documents: dict[str, Document] = {}
    errors: list[Located] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                document = parse(file.read(MAX_BYTES + 1), file=str(path))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except TemplateFault as fault:
            errors += fault.errors
            continue
        documents[document.name] = document
    return documents, errors


def _here() -> tuple[dict[str, Document], list[Located]]:
    found = library.load(settings.TEMPLATE_DIRECTORIES)
    return dict(found.documents), [error for fault in found.broken.values() for error in fault.errors]
