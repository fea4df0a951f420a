"""What candidates that share a process may leave behind: it is seen, or put right."""

from __future__ import annotations

import sys
import types
from types import SimpleNamespace

import pytest

from agents.engines.repair.inside.state import Parameters, Unknown, fingerprint

CODE = """
from functools import cache

KNOWN = {}
class Shelf:
    books = []
def keep(x, kept=[]):
    kept.append(x)
def counter():
    counts = []
    def count(x):
        counts.append(x)
    return count
count = counter()
@cache
def square(x):
    return x * x
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("a_project_of_tests")
    made.__file__ = "/project/a.py"
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(compile(CODE, made.__file__, "exec"), made.__dict__)  # noqa: S102 - ours, from above
    return made


def seen(module: types.ModuleType) -> bytes:
    return fingerprint(
        [module.keep, module.count], lambda path: path.removeprefix("/project/") * (path[:9] == "/project/")
    )


@pytest.mark.parametrize(
    "leave",
    ["KNOWN[1] = 2", "Shelf.books.append(1)", "keep(1)", "count(1)", "square(3)", "more = 1"],
)
def test_a_trace_is_seen(module: types.ModuleType, leave: str) -> None:
    before = seen(module)
    assert seen(module) == before
    exec(leave, module.__dict__)  # noqa: S102 - ours, from above
    assert seen(module) != before


def test_what_cannot_be_compared_is_not_taken_for_equal(module: types.ModuleType) -> None:
    module.__dict__["steps"] = iter(lambda: 1, 2)
    with pytest.raises(Unknown):
        seen(module)


def test_parameters_are_put_right() -> None:
    item = SimpleNamespace(callspec=SimpleNamespace(params={"items": [3, 1], "wanted": 1}))
    parameters = Parameters([item, SimpleNamespace()])
    item.callspec.params["items"].clear()
    parameters.restore()
    assert item.callspec.params == {"items": [3, 1], "wanted": 1}
