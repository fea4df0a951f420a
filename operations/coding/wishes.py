"""What a project or a template wants of its pull requests: the project's own word goes before the template's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from events.faults import Fault

CHECK_TIMEOUT_S = 900
MOST_NAMES = 15  # GitHub takes no more reviewers
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class SettingRefused(Fault):
    """A setting of the project's metadata is not what it has to be."""

    code = "project.setting_refused"
    http_status = 400
    remedy = "docs/forges.md shows what `pull_request` and `local_check` may hold."


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a pull request is opened."""

    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalCheck:
    """The command that the local forge runs as its check, without a shell."""

    command: tuple[str, ...]
    timeout_s: int = CHECK_TIMEOUT_S


ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Reaction:
    """How often the engine answers by itself, and after how many seconds of trouble a person is asked."""

    retries: int = ROUNDS
    escalate_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Reactions:
    """What is done about a pull request that comes back: at most ``rounds`` in all, then a person is asked."""

    rounds: int = ROUNDS
    checks_failed: Reaction = Reaction()
    changes_requested: Reaction = Reaction()


def pull_request(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> Wishes:
    """The wishes, each from the project where it says something."""
    said = {**spec.get("pull_request", {}), **metadata.get("pull_request", {})}
    names = {field: tuple(said.get(field, ()))[:MOST_NAMES] for field in ("labels", "reviewers", "teams")}
    return Wishes(draft=bool(said.get("draft", False)), **names)


def local_check(spec: Mapping[str, Any], metadata: Mapping[str, Any]) -> LocalCheck | None:
    """The check of the local forge; None where nobody wants one."""
    said = metadata.get("local_check") or spec.get("reactions", {}).get("local_check") or {}
    command = tuple(said.get("command", ()))
    return LocalCheck(command, int(said.get("timeout_s", CHECK_TIMEOUT_S))) if command else None


def reactions(spec: Mapping[str, Any]) -> Reactions:
    """The template's; two rounds where it does not say."""
    said = spec.get("reactions", {})
    rounds = int(said.get("rounds", ROUNDS))
    checks_failed, changes_requested = (
        Reaction(int(each.get("retries", rounds)), int(each.get("escalate_after_s", 0)))
        for each in (said.get("checks_failed", {}), said.get("changes_requested", {}))
    )
    return Reactions(rounds, checks_failed, changes_requested)


def check(metadata: Mapping[str, Any]) -> None:
    """Raises SettingRefused for settings of a project that could not be followed."""
    said = metadata.get("pull_request", {})
    if not isinstance(said, dict) or set(said) - {"draft", "labels", "reviewers", "teams"}:
        raise _refused("pull_request", "is an object of draft, labels, reviewers and teams")
    if not isinstance(said.get("draft", False), bool):
        raise _refused("pull_request/draft", "is true or false")
    for field in ("labels", "reviewers", "teams"):
        names = said.get(field, [])
        if not isinstance(names, list) or len(names) > MOST_NAMES or not all(isinstance(name, str) for name in names):
            raise _refused(f"pull_request/{field}", f"is a list of at most {MOST_NAMES} names")
        if field == "labels" and not all(0 < len(name) <= 50 and name.isprintable() for name in names):
            raise _refused("pull_request/labels", "holds a label that is empty, too long or not printable")
        if field != "labels" and not all(_NAME.fullmatch(name) for name in names):
            raise _refused(f"pull_request/{field}", "holds something that is no name")
    _check_command(metadata.get("local_check", {}))


def _check_command(said: Any) -> None:
    if not isinstance(said, dict) or set(said) - {"command", "timeout_s"}:
        raise _refused("local_check", "is an object of command and timeout_s")
    command, timeout_s = said.get("command", []), said.get("timeout_s", CHECK_TIMEOUT_S)
    words = isinstance(command, list) and len(command) <= 100
    if not words or not all(isinstance(word, str) and "\0" not in word and len(word) <= 4096 for word in command):
        raise _refused("local_check/command", "is a list of at most 100 arguments, no shell")
    if not isinstance(timeout_s, int) or isinstance(timeout_s, bool) or not 1 <= timeout_s <= 86_400:
        raise _refused("local_check/timeout_s", "is a number of seconds from 1 to 86400")


def _refused(field: str, why: str) -> SettingRefused:
    return SettingRefused(f"metadata.{field.replace('/', '.')} {why}", pointer=f"/metadata/{field}")
