"""What a program is answered when it asks for permission: by the template, else by what a person decided before.

The words of the request are the program's own and prove nothing: what it can do is bounded by the berth, whatever it
says. A person who approves lets this very request through, wherever it comes again in the operation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acp.schema import PermissionOption

from agents.engines.external.assignment import Answer
from agents.engines.external.faults import PermissionAsked
from agents.engines.external.lines import shown

# Programs put numbers and clocks of their own into what they ask, which are others whenever they ask the same again.
_OF_THE_MOMENT = re.compile(r"(?:^|_)(?:id|uuid|at|ms|time|timestamp)$|(?<=[a-z])(?:Id|Uuid|At|Ms|Timestamp)$")
_DEEPEST = 20
_CHOICES = {
    Answer.ALLOW: ("allow_once", "allow_always"),
    Answer.DENY: ("reject_once", "reject_always"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as far as it was told."""

    kind: str = "other"
    title: str = ""
    given: Any = None
    places: tuple[str, ...] = ()

    @property
    def print(self) -> str:
        """A fingerprint of what is asked, as a person is shown it: the same again is the same question."""
        asked = json.dumps([self.kind, self.title, _lasting(self.given), self.places], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    @property
    def words(self) -> str:
        """What a person is shown."""
        lasting = _lasting(self.given)
        given = f": {shown(json.dumps(lasting, ensure_ascii=False), limit=300)}" if lasting else ""
        return f"{self.kind} {shown(self.title, limit=200)}{given}".strip()


class Policy:
    """Answers by the kind of a call, and by what people decided about this very one."""

    def __init__(self, answers: Mapping[str, Answer], *, decided: Mapping[str, bool]) -> None:
        self._answers, self._decided = answers, decided

    def answer(self, call: Call) -> Answer:
        """Allow or deny. Raises :class:`PermissionAsked` where a person has to say."""
        if call.print in self._decided:
            return Answer.ALLOW if self._decided[call.print] else Answer.DENY
        answer = self._answers.get(call.kind, Answer.ASK)
        if answer is Answer.ASK:
            raise PermissionAsked(
                f"The agent program asks for permission to {call.words}", asked=call.print, words=call.words
            )  # fmt: skip
        return answer


def outcome(answer: Answer, options: Sequence[PermissionOption]) -> dict[str, Any]:
    """The protocol's form: the option that says it, the narrower first; where there is none, the request is dropped."""
    for kind in _CHOICES[answer]:
        for option in options:
            if option.kind == kind:
                return {"outcome": {"outcome": "selected", "optionId": option.option_id}}
    return {"outcome": {"outcome": "cancelled"}}


def _lasting(given: Any, *, depth: int = 0) -> Any:
    """What a program gives its tool, without what is of this very call."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(given, Mapping):
        kept = {name: value for name, value in given.items() if not _OF_THE_MOMENT.search(name)}
        return {name: _lasting(value, depth=depth + 1) for name, value in kept.items()}
    if isinstance(given, list):
        return [_lasting(value, depth=depth + 1) for value in given]
    return given
