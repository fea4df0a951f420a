"""What can be wrong with a template, and where: one fault carries every located error that was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from events.faults import Fault, FaultClass


@dataclass(frozen=True, slots=True)
class Located:
    """One error or warning with its place.

    ``line`` and ``column`` count from 1; 0 means "the file as a whole".
    """

    code: str
    message: str
    path: str = ""
    template: str = ""
    version: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: every field, empty ones too."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        path = f"{self.path}: " if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{path}{self.message} [{self.code}]{hint}"


MAX_SHOWN = 100  # a hostile file can hold thousands of errors; rows and answers carry this many


class TemplateFault(Fault):
    """A template cannot be used.

    ``errors`` holds everything that is wrong with it, not only the first thing.
    """

    fault_class = FaultClass.CONFIGURATION
    code = "template.invalid"
    remedy = "Correct the template at the places named in `errors`."

    def __init__(self, errors: Iterable[Located]) -> None:
        self.errors: tuple[Located, ...] = tuple(errors)
        more = f" — and {len(self.errors) - 1} more" if len(self.errors) > 1 else ""
        shown = [error.as_dict() for error in self.errors[:MAX_SHOWN]]
        super().__init__(f"{self.errors[0]}{more}", errors=shown, count=len(self.errors))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all errors, in the order in which they were found."""
        return tuple(error.code for error in self.errors)


class TemplateNotFound(Fault):
    """No template has the requested name."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.not_found"
    http_status = 404
    remedy = "Name one of the templates that `GET /api/v1/templates/` lists."

    def __init__(self, name: str, *, known: Sequence[str]) -> None:
        suggestion = did_you_mean(name, known)
        super().__init__(f"There is no template {name!r}. {suggestion}".rstrip(), name=name, suggestion=suggestion)


class TemplateAbstract(Fault):
    """An abstract template is a building block: it is extended, never spawned."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.abstract"
    remedy = "Spawn a template that extends this one."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the nearest known name, or nothing when none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else ""
