"""What the layers of a template declare of its variables, the nearest layer's word first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from templates_app.documents import Declaration, Document, Rule
from templates_app.faults import Located
from templates_app.substitution import BadSubstitution, Part, Reference, parts
from templates_app.yaml_text import Json, Path


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable over all layers: the nearest layer's word on each point, and the place of its default."""

    declaration: Declaration
    document: Document  # the layer that declared the default, else the nearest that declared the variable

    @property
    def purpose(self) -> str:
        """What it is for, or at least who wants it."""
        return self.declaration.description or f"declared by {self.document.name}"


def declared(layers: Iterable[Document]) -> dict[str, Variable]:
    """The declarations of all layers, first to last, later over earlier. Secret once is secret for ever."""
    variables: dict[str, Variable] = {}
    for document in layers:
        for name, said in document.variables.items():
            earlier = variables.get(name)
            variables[name] = _over(earlier, said, document) if earlier else Variable(said, document)
    return variables


def with_rule(variables: dict[str, Variable], rule: Rule, document: Document) -> dict[str, Variable]:
    """The variables with the values that a rule gives them: over every default, under what is given."""
    found = dict(variables)
    for name, value in rule.variables.items():
        said = Declaration(has_default=True, default=value)
        found[name] = _over(variables[name], said, document) if name in variables else Variable(said, document)
    return found


def secret_problems(layers: Iterable[Document], variables: Mapping[str, Variable]) -> list[Located]:
    """Secrets that stand in a file: a default of one would show wherever the file does."""
    found = []
    for document in layers:
        said: list[tuple[str, Json, Path]] = [
            (name, one.default, ("variables", name, "default")) for name, one in document.variables.items()
        ]
        for rule in document.adapt:
            said += [(name, value, (*rule.path, "variables", name)) for name, value in rule.variables.items()]
        for name, value, path in said:
            variable = variables.get(name)
            if variable is not None and variable.declaration.secret and _is_literal(value):
                message = f"{name} is secret; its value may not stand in a template"
                hint = "give it at spawn time, or name it under `secrets`"
                found.append(document.located("secret_in_template", message, path, hint=hint))
    return found


def _is_literal(value: Json) -> bool:
    """Whether a default says more than which other variable to take."""
    if value is None or value == "":
        return False
    if not isinstance(value, str):
        return True
    try:
        return _has_words(parts(value))
    except BadSubstitution:
        return True


def _has_words(found: tuple[Part, ...]) -> bool:
    return any(isinstance(part, str) or (part.operator[-1:] == "-" and _has_words(part.word)) for part in found)


def secrets_spelled_out(text: str, variables: Mapping[str, Variable]) -> list[str]:
    """The secret variables that a text gives a value of its own: ``${TOKEN:-hunter2}``."""
    return _spelled_out(parts(text), variables)


def _spelled_out(found: tuple[Part, ...], variables: Mapping[str, Variable]) -> list[str]:
    names: list[str] = []
    for part in found:
        if isinstance(part, Reference):
            variable = variables.get(part.name)
            secret = variable is not None and variable.declaration.secret
            if secret and part.operator[-1:] == "-" and _has_words(part.word):
                names.append(part.name)
            names += _spelled_out(part.word, variables)
    return names


def _over(earlier: Variable, said: Declaration, document: Document) -> Variable:
    old = earlier.declaration
    merged = Declaration(
        type=said.type or old.type,
        has_default=said.has_default or old.has_default,
        default=said.default if said.has_default else old.default,
        secret=said.secret or old.secret,
        required=old.required if said.required is None else said.required,
        enum=old.enum if said.enum is None else said.enum,
        pattern=old.pattern if said.pattern is None else said.pattern,
        description=said.description or old.description,
    )
    return Variable(merged, document if said.has_default or not old.has_default else earlier.document)
