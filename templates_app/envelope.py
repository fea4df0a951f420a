"""What is wrong with a document around its ``spec``: the envelope, the parents, the declarations, the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from templates_app.conditions import condition_problem
from templates_app.constraints import constraint_problem
from templates_app.faults import did_you_mean
from templates_app.fitting import KINDS, mismatch
from templates_app.schema import problems_of, template_schema
from templates_app.substitution import has_reference, needs_reading, syntax_problem
from templates_app.validate import Problem, layer_problems
from templates_app.yaml_text import Json, Path

_HINTS: Mapping[Path, str] = {
    ("name",): "small letters, digits and dashes, beginning with a letter; never a path",
    ("extends",): "a template's name, with a version if need be: base, base@2.1",
    ("version",): "such as 1.0.0",
    ("apiVersion",): "moorage/v1",
}
RUNTIME_ROOTS = frozenset({"agent", "workspace", "host", "port"})  # given at spawn time, never declared


def shown(path: Path) -> str:
    """A path for people: ``spec.hooks.setup[0]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def envelope_problems(value: dict[str, Json]) -> list[Problem]:
    """What is wrong with a document, `spec` and `adapt` aside: fields, kinds, parents, declarations."""
    schema = template_schema()
    envelope = {key: content for key, content in value.items() if key != "spec"}
    problems = []
    for path, code, words in problems_of(envelope, schema):
        hint = "put it in quotes" if path == ("version",) and code == "type_mismatch" else ""
        if code == "unknown_field" and not path:
            unknown = next(key for key in envelope if key not in schema["properties"])
            path, hint = (unknown,), did_you_mean(unknown, schema["properties"])
        if path == ("version",) and code == "bad_value":
            words = "must be MAJOR.MINOR.PATCH, as of semver.org"
        hint = hint or _HINTS.get(path[:1], "") if code == "bad_value" else hint
        problems.append((code, f"{shown(path) or 'the template'} {words}", path, hint))
    problems += _parent_problems(value)
    declarations = value.get("variables", {})
    if isinstance(declarations, dict):
        for name, declaration in declarations.items():
            problems += _declaration_problems(name, declaration)
    return problems


def _parent_problems(value: dict[str, Json]) -> list[Problem]:
    """Version constraints that do not read."""
    extends = value.get("extends", [])
    problems: list[Problem] = []
    for index, one in enumerate(extends if isinstance(extends, list) else [extends]):
        name, at, constraint = one.partition("@") if isinstance(one, str) else ("", "", "")
        if at and (words := constraint_problem(constraint)):
            path: Path = ("extends", index) if isinstance(extends, list) else ("extends",)
            problems.append(("bad_constraint", f"{name}@{constraint}: {words}", path, "such as @2, @2.1 or @>=1.2,<3"))
    return problems


def adapt_problems(value: dict[str, Json]) -> list[Problem]:
    """What is wrong with the rules, beyond their shape."""
    rules = value.get("adapt", [])
    problems: list[Problem] = []
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if not isinstance(rule, dict):
            continue
        path: Path = ("adapt", index)
        when, said = rule.get("when"), rule.get("set", {})
        if isinstance(when, str) and 0 < len(when) <= 1000 and (words := condition_problem(when)):
            problems.append(("bad_condition", words, (*path, "when"), "a condition in CEL: host.cpus < 4"))
        problems += [(code, words, (*path, "set", *at), hint) for code, words, at, hint in layer_problems(said)]
        names = rule.get("variables", {})
        for name, given in names.items() if isinstance(names, dict) else ():
            if name.split(".")[0] in RUNTIME_ROOTS:
                words = f"{name} is given at spawn time; it cannot be set"
                problems.append(("reserved_variable", words, (*path, "variables", name), ""))
            problems += _text_problems(given, (*path, "variables", name))
    return problems


def _text_problems(value: Json, path: Path) -> list[Problem]:
    """References that do not read, in any text of a variable's value."""
    if isinstance(value, str) and has_reference(value) and (words := syntax_problem(value)):
        return [("bad_substitution", words, path, "a literal ${ is written $${")]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [problem for key, item in items for problem in _text_problems(item, (*path, key))]


def _declaration_problems(name: str, declaration: Json) -> list[Problem]:
    path: Path = ("variables", name)
    problems: list[Problem] = []
    if name.split(".")[0] in RUNTIME_ROOTS:
        problems.append(("reserved_variable", f"{name} is given at spawn time; it cannot be declared", path, ""))
    if not isinstance(declaration, dict):
        return problems
    problems += _text_problems(declaration.get("default"), (*path, "default"))
    if declaration.get("secret") is True and declaration.get("type", "string") != "string":
        problems.append(("bad_variable", f"{name} is secret, so it must be a string", (*path, "type"), ""))
    pattern = declaration.get("pattern")
    if isinstance(pattern, str):
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            problems.append(("bad_variable", f"the pattern of {name}: {error}", (*path, "pattern"), ""))
            return problems
    return problems + _default_problems(name, declaration, path)


def _default_problems(name: str, declaration: dict[str, Json], path: Path) -> list[Problem]:
    """A default that does not fit its own declaration. One with references is judged once it is computed."""
    kind, secret, enum, pattern = (declaration.get(key) for key in ("type", "secret", "enum", "pattern"))
    default = declaration.get("default")
    if "default" not in declaration or secret is True or _needs_reading(default) or kind not in (None, *KINDS):
        return []
    words = mismatch(
        default,
        type=str(kind) if kind is not None else None,
        secret=False,  # a secret has no default that could be judged
        enum=enum if isinstance(enum, list) else None,
        pattern=pattern if isinstance(pattern, str) else None,
    )
    return [("bad_variable", f"the default of {name} {words}", (*path, "default"), "")] if words else []


def _needs_reading(value: Json) -> bool:
    if isinstance(value, str):
        return needs_reading(value)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_needs_reading, items))
