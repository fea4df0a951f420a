"""What a template says about its agent program, read from the resolved specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from agents.engines.protocol import EngineUnavailable


class Mode(StrEnum):
    """How a program is spoken to."""

    ACP = "acp"
    COMMAND = "command"


class Answer(StrEnum):
    """What a program is answered when it asks whether it may do something."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


# The protocol's kinds of tool calls. The berth bounds what each can do; `other` can mean anything, so a person looks.
ANSWERS: dict[str, Answer] = {
    **dict.fromkeys(("read", "search", "think", "edit", "delete", "move", "execute"), Answer.ALLOW),
    **dict.fromkeys(("fetch", "switch_mode"), Answer.DENY),
    "other": Answer.ASK,
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a program was stopped that asked a person, and what the person said."""

    asked: str  # in its words
    allowed: bool
    said: str = ""  # by the person
    session: str = ""  # that it may go on with; empty where it cannot
    told: str = ""  # what it had said and done until then
    tree: str = ""  # what it had left in the files


@dataclass(frozen=True, slots=True)
class Assignment:
    """``engine.external`` of a template."""

    program: tuple[str, ...]
    mode: Mode = Mode.ACP
    name: str = ""
    version: tuple[str, ...] = ()  # the command that prints it
    authentication: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=lambda: dict(ANSWERS))

    @property
    def title(self) -> str:
        """What people call it: the name given, else the program's file name."""
        return self.name or PurePosixPath(self.program[0]).name


def named(spec: Mapping[str, Any]) -> bool:
    """Whether the template names a program at all."""
    return bool(spec.get("engine", {}).get("external", {}).get("program"))


def read(spec: Mapping[str, Any]) -> Assignment:
    """The assignment of a resolved specification. Raises :class:`EngineUnavailable` where it names no program."""
    if not named(spec):
        raise EngineUnavailable(
            "The template names no agent program.",
            remedy="Choose a template with `engine.external.program`, or another engine.", pointer="/engine",
        )  # fmt: skip
    said = spec["engine"]["external"]
    return Assignment(
        program=tuple(said["program"]),
        mode=Mode(said.get("mode", Mode.ACP)),
        name=said.get("name", ""),
        version=tuple(said.get("version", ())),
        authentication=said.get("authentication", ""),
        environment=said.get("environment", {}),
        answers={**ANSWERS, **{kind: Answer(word) for kind, word in said.get("permissions", {}).items()}},
    )
