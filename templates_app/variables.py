"""Values of variables: given at run time, or computed from what layers declare when they are used.

What is given at run time is data and is never scanned again; only text of a template is. A name is a flat key
of a dictionary: nothing is looked up in objects or in the process environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from templates_app.declarations import Variable, secrets_spelled_out
from templates_app.documents import RUNTIME_ROOTS, Declaration, Document, canonical
from templates_app.faults import Located, did_you_mean
from templates_app.fitting import mismatch
from templates_app.schema import Kind, kind_of, type_name
from templates_app.substitution import Part, Reference, needs_reading, parts
from templates_app.yaml_text import MAX_DEPTH, Json, Path

NOT_YET_KNOWN = "not_yet_known"
MISSING = ("undefined_variable", NOT_YET_KNOWN)
MASK = "••••••"
MAX_TEXT = 256 * 1024  # of one value; defaults that double each other would have no end otherwise
MAX_VALUES = 20_000


class Secret(str):
    """Text that a secret has gone into. It stays a Secret through every substitution, and is never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


class Unresolved(Exception):
    """A text could not be substituted; carries what to report, and ``others`` of the same text."""

    def __init__(self, code: str, message: str, *, hint: str = "", others: tuple[Unresolved, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.others = code, message, hint, others

    @property
    def all(self) -> tuple[Unresolved, ...]:
        """This one and the others, each once."""
        return tuple({one.message: one for one in (self, *self.others)}.values())


class Values:
    """All values of one resolution. Computes each default at most once, and only when it is used."""

    def __init__(
        self, *, variables: Mapping[str, Variable], given: Mapping[str, object] | None, own: Document, early: bool
    ) -> None:
        self._variables = variables
        self._own = own  # where to report what no template declares
        self._early = early  # before run time: what only run time knows is NOT_YET_KNOWN, no error
        given = given or {}
        self._known: dict[str, Json] = {}
        self.secret = any(variable.declaration.secret for variable in variables.values())
        self._computing: list[str] = []
        self._missing: dict[str, Unresolved] = {}  # defaults that need what is not there: asked once each
        self.errors: list[Located] = []
        for name, value in given.items():
            self._give(name, value)
        self._given = frozenset(given)
        for name, variable in variables.items():
            if (
                not self._early
                and variable.declaration.required
                and not variable.declaration.has_default
                and name not in given
            ):
                self._report(name, "required_variable", f"{name} must be given: {variable.purpose}")

    def spelled_out(self, text: str) -> list[str]:
        """The secrets that a text itself gives a value."""
        return secrets_spelled_out(text, self._variables) if self.secret else []

    def text(self, text: str) -> Json:
        """``text`` with its references replaced; a whole-string reference keeps its type.

        Raises Unresolved.
        """
        if not needs_reading(text):
            return text
        return self._evaluated(parts(text))

    def value(self, value: Json) -> Json:
        """A plain value with the references in all its texts replaced. Raises :class:`Unresolved`."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return value

    def _give(self, name: str, value: object) -> None:
        variable = self._variables.get(name)
        try:
            copied = json_copy(value)
            check_weight(copied)
            canonical(copied).encode()
        except (ValueError, Unresolved):  # NaN, half of a surrogate pair, too deep, too much
            self._report(name, "bad_variable", f"the value given for {name} is not sound JSON")
            self._known[name] = None  # one error is enough, not one more for each use
            return
        if variable is not None and variable.declaration.secret and isinstance(copied, str):
            copied = Secret(copied)
        self._known[name] = copied
        if variable is not None and (problem := _mismatch(copied, variable.declaration)):
            self._report(name, "bad_variable", f"{name} {problem}")

    def _report(self, name: str, code: str, message: str) -> None:
        document = self._variables[name].document if name in self._variables else self._own
        self.errors.append(document.located(code, message, ("variables", name)))

    def _lookup(self, name: str) -> tuple[bool, Json]:
        """Whether the variable is set, and its value."""
        if name in self._known:
            return True, self._known[name]
        variable = self._variables.get(name)
        if self._early and name.split(".")[0] in RUNTIME_ROOTS:
            raise Unresolved(NOT_YET_KNOWN, f"{name} is known at spawn time")
        if variable is None or not variable.declaration.has_default:
            if self._early and variable is not None:
                raise Unresolved(NOT_YET_KNOWN, f"{name} is given at spawn time")
            return False, None
        if name in self._computing:
            cycle = " → ".join([*self._computing[self._computing.index(name) :], name])
            raise Unresolved("variable_cycle", f"these variables need each other: {cycle}")
        if len(self._computing) >= MAX_DEPTH:
            raise Unresolved("too_deep", f"more than {MAX_DEPTH} defaults use one another")
        if name in self._missing:
            known = self._missing[name]
            raise Unresolved(known.code, known.message, hint=known.hint, others=known.others)
        self._computing.append(name)
        try:
            value = self.value(variable.declaration.default)
        except Unresolved as missing:
            if missing.code in MISSING:
                self._missing[name] = missing
            raise
        finally:
            self._computing.pop()
        check_weight(value)
        if variable.declaration.secret:
            value = Secret(as_text(value, name))
        if problem := _mismatch(value, variable.declaration):
            raise Unresolved("bad_variable", f"the default of {name} {problem}")
        self._known[name] = value
        return True, value

    def _evaluated(self, found: tuple[Part, ...]) -> Json:
        if len(found) == 1:
            only = found[0]
            return json_copy(self._reference(only)) if isinstance(only, Reference) else only
        texts: list[str] = []
        length = 0
        problems: list[Unresolved] = []
        for part in found:
            try:
                text = part if isinstance(part, str) else as_text(self._reference(part), part.name)
            except Unresolved as problem:
                if problem.code not in MISSING:
                    raise
                problems.append(problem)  # go on: all that is missing is reported at once
                continue
            texts.append(text)
            length += len(text)
            if length > MAX_TEXT:
                raise Unresolved("too_large", f"variables make this longer than {MAX_TEXT // 1024} KiB")
        if problems:
            raise _together(problems)
        secret = any(isinstance(text, Secret) for text in texts)
        return Secret("".join(texts)) if secret else "".join(texts)

    def _reference(self, reference: Reference) -> Json:
        is_set, value = self._lookup(reference.name)
        empty = not is_set or (reference.operator.startswith(":") and value in ("", None))
        match reference.operator[-1:]:
            case "-" if empty:
                return self._typed(reference.name, self._evaluated(reference.word))
            case "+":
                return "" if empty else self._evaluated(reference.word)
            case "?" if empty:
                raise Unresolved("undefined_variable", self._message(reference))
        if not is_set:
            raise self._undefined(reference.name)
        return value

    def _typed(self, name: str, word: Json) -> Json:
        """A default written in the text takes the declared type:
        ``${N:-5}`` of an integer N is 5, not "5".
        """
        variable = self._variables.get(name)
        kind = (variable.declaration.type if variable else None) or "string"
        if variable is not None and variable.declaration.secret:
            return Secret(as_text(word, name))
        if kind not in ("integer", "number", "boolean") or not isinstance(word, str) or isinstance(word, Secret):
            return word
        if kind == "boolean":
            return {"true": True, "false": False}.get(word, word)
        if re.fullmatch(r"-?[0-9]{1,18}", word):
            return int(word)
        if kind == "number" and re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", word):
            return float(word)
        return word

    def _message(self, reference: Reference) -> str:
        said = as_text(self._evaluated(reference.word), reference.name)
        return f"{reference.name}: {MASK if isinstance(said, Secret) else said or 'not set'}"

    def _undefined(self, name: str) -> Unresolved:
        hint = did_you_mean(name, {*self._variables, *self._given})
        variable = self._variables.get(name)
        if variable is not None:
            return Unresolved("undefined_variable", f"{name} has no value: {variable.purpose}", hint="give it")
        return Unresolved("undefined_variable", f"there is no variable {name}", hint=hint)


def json_copy(value: object, *, depth: int = 1) -> Json:
    """A plain copy of a JSON value, Secrets kept. ValueError: too deep. TypeError: not JSON."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [json_copy(item, depth=depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(key): json_copy(item, depth=depth + 1) for key, item in value.items()}
    raise TypeError(f"a variable's value is JSON, not {type(value).__name__}")


def check_weight(value: Json) -> None:
    """Raise :class:`Unresolved` when a value holds too many values or levels; stops counting there."""
    waiting, count = [(value, 1)], 0
    while waiting:
        count += 1
        here, depth = waiting.pop()
        if count > MAX_VALUES:
            raise Unresolved("too_large", f"variables expand this to more than {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise Unresolved("too_deep", f"variables nest this deeper than {MAX_DEPTH} levels")
        if isinstance(here, list | dict):
            items = here.values() if isinstance(here, dict) else here
            waiting.extend((item, depth + 1) for item in items)


def _together(problems: list[Unresolved]) -> Unresolved:
    """All problems of one text as one; what only run time knows excuses nothing else."""
    every = [one for problem in problems for one in problem.all]
    first = next((one for one in every if one.code != NOT_YET_KNOWN), every[0])
    others = tuple(one for one in every if one is not first)
    return Unresolved(first.code, first.message, hint=first.hint, others=others)


def as_text(value: Json, name: str) -> str:
    """A scalar as text inside other text: ``true``, ``1.5``, and nothing for null."""
    if isinstance(value, str):
        return value
    if kind_of(value) is not Kind.SCALAR:
        raise Unresolved("embedded_collection", f"{name} is {type_name(value)}; it cannot stand inside other text")
    return "" if value is None else json.dumps(value)


def _mismatch(value: Json, declaration: Declaration) -> str:
    return mismatch(
        value,
        type=declaration.type,
        secret=declaration.secret,
        enum=declaration.enum,
        pattern=declaration.pattern,
    )


def located_at(document: Document, path: Path, problem: Unresolved) -> Located:
    """What could not be substituted, at the place of the text."""
    return document.located(problem.code, problem.message, path, hint=problem.hint)
