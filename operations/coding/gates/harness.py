"""The gate on what decides from outside of the tests which of them run and how they end.

A hook of the test runner, a setting that selects, a module in the runner's place, and code that asks whether it is
being tested: each can be right, and each can make a red test green. A person should see them.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from operations.coding.gates.names import Names
from operations.coding.gates.subject import Subject, is_test, matches
from operations.coding.gates.verdicts import GateResult, verdict

# Hooks of pytest that choose tests, run them, or say how they ended; the others only prepare or print.
_HOOKS = re.compile(
    r"pytest_(?:collection_modifyitems|collection_finish|collection|collect_file|collect_directory|ignore_collect"
    r"|pycollect_makeitem|pycollect_makemodule|make_collect_report|generate_tests|deselected|itemcollected"
    r"|runtest_\w+|runtestloop|pyfunc_call|report_teststatus|report_from_serializable|fixture_setup"
    r"|sessionstart|sessionfinish|cmdline_\w+|load_initial_conftests|configure|plugin_registered|unconfigure)"
)
_SPEAKS = re.compile(r"pytest|unittest|modules|_exit|exec[lv]", re.IGNORECASE)
_SELECTS = (
    "addopts", "testpaths", "python_files", "python_classes", "python_functions", "norecursedirs", "usefixtures",
    "xfail_strict", "collect_imported_tests", "confcutdir", "rootdir", "required_plugins", "pythonpath",
)  # fmt: skip
_OTHER_SETTINGS = ("jest.config.*", "vitest.config.*", "karma.conf.*", ".mocharc*", "playwright.config.*",
                   "ava.config.*", "cypress.config.*", "phpunit.xml*", ".rspec", ".nycrc*")  # fmt: skip
_RUNNERS = frozenset({"pytest", "_pytest", "pluggy", "iniconfig", "xdist", "pytest_timeout", "coverage"})
_USUAL = frozenset({"test", "code", "site", "types", "this"})  # names of the standard library that projects take
_SHADOWED = (_RUNNERS | sys.stdlib_module_names) - _USUAL
_ASKS = frozenset({"PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_WORKER"})


def harness(subject: Subject) -> GateResult:
    """Nothing new that decides about tests from outside of them."""
    found = [*_settings(subject), *_stand_ins(subject)]
    for path, source in subject.sources.items():
        # Nearly no file speaks of its test runner: the others need not be walked.
        if path in subject.python and _SPEAKS.search(source.after or ""):
            found += _new_in(subject, path)
    return verdict("test harness", found, "nothing that decides about tests from outside")


def _new_in(subject: Subject, path: str) -> list[str]:
    (before, after), (names_before, names) = subject.python[path], subject.names[path]
    old = {words for words, _ in _of_file(path, before, names_before)}
    found = []
    for words, lines in _of_file(path, after, names):
        if any((path, line) in subject.added_numbers for line in lines):
            found.append(f"{path} line {lines.start}: {words}{', and was changed' if words in old else ''}")
    return found


def _of_file(path: str, module: ast.Module | None, names: Names | None) -> Iterator[tuple[str, range]]:
    """What decides about tests, and its lines."""
    for node in ast.walk(module) if module else ():
        words = ""
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _HOOKS.fullmatch(name):
                words = f"{name} is a hook of the test runner"
            case ast.Constant(value=str(text)) if _HOOKS.fullmatch(text):
                words = f"{text} is a hook of the test runner"
            case ast.Name(id=name, ctx=ast.Store()) if _HOOKS.fullmatch(name) or name == "pytest_plugins":
                words = f"{name} belongs to the test runner"
        if not words and names is not None and not is_test(path):
            words = _asks(node, names)
        if words and isinstance(node, ast.stmt | ast.expr):
            yield words, range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _asks(node: ast.AST, names: Names) -> str:
    """How code that is no test asks whether it is being tested, or reaches for what tests it."""
    match node:
        case ast.Constant(value=str(text)) if text in _ASKS:
            return f"asks for {text}: does it behave otherwise when tested?"
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[where]):
            name = names.text(left)
            if name in _RUNNERS | {"unittest"} and names.full(where) == "sys.modules":
                return f"asks whether {name} is loaded: does it behave otherwise when tested?"
        case ast.Attribute():
            name = names.full(node)
            if name.startswith("_pytest."):
                return "reaches into pytest"
            if name == "os._exit" or name.startswith("os.exec"):
                return f"{name} ends the process in its place, be it that of the tests"
    return ""


def _settings(subject: Subject) -> Iterator[str]:
    for change in subject.diff.changes:
        name = change.path.rsplit("/", 1)[-1]
        if matches(name, _OTHER_SETTINGS):
            yield f"{change.path} is the settings of a test runner"
    for path, source in subject.sources.items():
        name = path.rsplit("/", 1)[-1]
        if (read := _READERS.get(name)) is not None:
            before, after = read(source.before or ""), read(source.after or "")
            yield from (f"{path} sets {key}" for key in sorted({*before, *after}) if before.get(key) != after.get(key))


def _ini(*sections: str) -> Any:
    def read(text: str) -> Mapping[str, str]:
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True, interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error:
            return {}
        found: dict[str, str] = {}
        for section in sections:
            if parser.has_section(section):
                found |= {key: str(value) for key, value in parser.items(section) if key in _SELECTS}
        if parser.has_section("options.entry_points") and parser.has_option("options.entry_points", "pytest11"):
            found["pytest11"] = str(parser.get("options.entry_points", "pytest11"))
        return found

    return read


def _pyproject(text: str) -> Mapping[str, str]:
    try:
        document = tomllib.loads(text)
        settings = document.get("tool", {}).get("pytest", {})
        chosen = {**settings, **settings.get("ini_options", {})}
        found = {key: repr(value) for key, value in chosen.items() if key in _SELECTS}
        if plugins := document.get("project", {}).get("entry-points", {}).get("pytest11"):
            found["pytest11"] = repr(plugins)
    except (tomllib.TOMLDecodeError, AttributeError, TypeError, RecursionError):
        return {}
    return found


def _package_json(text: str) -> Mapping[str, str]:
    try:
        document = json.loads(text)
        found = {key: repr(document[key]) for key in ("jest", "mocha", "ava", "vitest") if key in document}
        scripts = {
            name: words for name, words in document.get("scripts", {}).items() if name.startswith(("test", "pretest"))
        }
    except (ValueError, AttributeError, TypeError, RecursionError):
        return {}
    return found | {f"the {name} script": repr(words) for name, words in scripts.items()}


_READERS = {
    "pytest.ini": _ini("pytest"), ".pytest.ini": _ini("pytest"), "tox.ini": _ini("pytest"),
    "setup.cfg": _ini("tool:pytest"), "pyproject.toml": _pyproject, "package.json": _package_json,
}  # fmt: skip


def _stand_ins(subject: Subject) -> Iterator[str]:
    """New modules at the top that Python takes for those of the test runner or of its own library."""
    for path in subject.diff.names("A"):
        parts = path.removeprefix("src/").split("/")
        name = parts[0].removesuffix(".py")
        if name in _SHADOWED and path.endswith((".py", ".so")) and (len(parts) > 1 or parts[0].endswith(".py")):
            yield f"{path} stands in the place of the module {name}"
