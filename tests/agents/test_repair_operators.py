"""What edits are listed for a function, and that each of them is one that can be made."""

from __future__ import annotations

import ast
from itertools import pairwise

import pytest

from agents.engines.repair import candidates
from agents.engines.repair.proposals import Candidate
from agents.engines.repair.source import Source, Unsearchable
from agents.engines.repair.survey import Survey, read
from benchmarks.defects.seeded import DEFECTS, PROGRAMS


def surveyed(
    lines: dict[str, list[int]],
    types: dict[str, dict[str, list[str]]],
    attributes: dict[str, dict[str, str]] | None = None,
) -> Survey:
    test = {"id": "t.py::t", "outcome": "failed", "seconds": 0.01, "known": True, "lines": lines}
    return read({"tests": [test], "types": types, "attributes": attributes or {}})


TREE = {"Tree": {"left": "Tree", "right": "Tree", "leaves": "list"}}


def listed(code: str, *, name: str = "f", types: dict[str, list[str]] | None = None) -> dict[str, Candidate]:
    """Every single edit, by the file it makes."""
    source = Source("m.py", code.encode())
    survey = surveyed({"m.py": list(range(1, 60))}, {f"m.py::{name}": types or {}}, TREE)
    return {source.apply(one.proposal.edits).decode(): one for one in candidates.single([source], survey)}


@pytest.mark.parametrize(
    ("code", "wanted", "types"),
    [
        ("def f(a, b):\n    return a < b\n", "a <= b", {}),
        ("def f(a, b):\n    return g(a, b)\n", "g(b, a)", {}),
        ("def f(n):\n    return n + 1 * 2\n", "(n + 1) * 2", {}),
        ("def f(a, b):\n    return (a + b) * 2\n", "(a - b) * 2", {}),
        ("def f(a, b):\n    return a * b\n", "return a\n", {}),
        ("def f(rows, i):\n    return rows[i]\n", "rows[i - 1]", {"i": ["int"]}),
        ("def f(rows):\n    for r in rows:\n        return r\n    return 0\n",
         "for r in rows[1:]:", {"rows": ["list"]}),
        ("def f(x):\n    if x.up:\n        return 1\n", "x is not None and x.up", {}),
        ("def f(n):\n    return f(n - 1)\n", "    if n == 0:\n        return 0\n", {"n": ["int"], "return": ["int"]}),
        ("def f(xs):\n    best = 0\n    for x in xs:\n        best = x\n    return best\n", "best = max(best, x)",
         {"x": ["int"], "best": ["int"]}),
        ("def f(xs):\n    out = []\n    for x in xs:\n        g(x)\n    return out\n", "        out.append(x)\n",
         {"out": ["list"], "x": ["int"]}),
        ("def f(xs, seen=[]):\n    seen.append(1)\n    return seen\n", "if seen is None:\n        seen = []", {}),
        ("def f(n):\n    return [[0] * n] * n\n", "[[0] * n for _ in range(n)]", {}),
        ("def f(xs):\n    for x in xs:\n        y = x\n        return y\n", "        y = x\n    return y\n", {}),
        ("def f(a, b):\n    a.next = b\n    return a\n", "a.next = b or a", {"a": ["Tree"], "b": ["Tree", "NoneType"]}),
        ("def f(t):\n    if t:\n        yield from f(t.left)\n", "        yield from f(t.right)\n", {"t": ["Tree"]}),
        ("def f(t, xs):\n    for x in xs:\n        g(x)\n", "for x in t.leaves:", {"t": ["Tree"], "xs": ["list"]}),
        ("def f(a):\n    return g(bool(a), a)\n", "g(not a, a)", {}),
        ("def f(seen, new):\n    g(seen, new)\n    return seen\n", "    seen |= new\n",
         {"seen": ["set"], "new": ["set"]}),
        ("def f(xs, sign):\n    for x in xs:\n        g(x, sign)\n", "        sign = -sign\n", {"sign": ["int"]}),
        ("def f(xs, i):\n    return xs[i]\n", "xs[i % len(xs)]", {"xs": ["list"], "i": ["int"]}),
        ("def f(row, a):\n    return len(row) + a > 3\n", "len(row) + a + len(row)", {"row": ["list"], "a": ["int"]}),
        ("def f(on):\n    on = True\n    return on\n", "on = not on", {"on": ["bool"]}),
        ("def f(xs):\n    for x in xs:\n        y = g(x)\n        h(y)\n",
         "        if not y:\n            break\n        h(y)\n", {"y": ["list"]}),
        ("def f(xs, at):\n    at = 0\n    return xs[at]\n", "at = xs[at]", {"xs": ["list"], "at": ["int"]}),
        ("def f(a, b):\n    a = 1\n    b = 2\n    g(a)\n    return b\n", "    b = 2\n    g(a)\n    a = 1\n", {}),
        ("def g(xs):\n    return 1 in xs\n\n\ndef f(xs):\n    return xs is not None\n",
         "xs is not None and 1 in xs", {}),
        ("def f(xs, x):\n    xs.append(x)\n    f(xs, x)\n    return xs\n", "f(xs, x)\n    xs.pop()\n",
         {"xs": ["list"]}),
        ("def f(at, xs, y):\n    return at[-1] < y\n", "xs[at[-1]] < y",
         {"at": ["list"], "at[]": ["int"], "xs": ["list"], "y": ["int"]}),
    ],
)  # fmt: skip
def test_the_edit_is_among_those_listed(code: str, wanted: str, types: dict[str, list[str]]) -> None:
    assert any(wanted in text for text in listed(code, types=types))


def test_comments_and_formatting_around_an_edit_stay() -> None:
    code = "def f(a,b):  # both\n\n    return (a\n            <b)   # less\n"
    assert code.replace("<", "<=") in listed(code)


def test_seen_types_rule_out_what_could_not_work() -> None:
    code = "def f(words, n):\n    return words[n]\n"
    known = listed(code, types={"words": ["list"], "n": ["int"], "words[]": ["str"]})
    ranked = list(known)
    swapped = code.replace("words[n]", "n[n]")
    assert swapped not in known or ranked.index(swapped) > len(ranked) // 4


@pytest.mark.parametrize("defect", DEFECTS[::7], ids=lambda defect: defect.name)
def test_nearly_all_that_is_listed_compiles_and_the_likely_comes_first(defect: object) -> None:
    text = defect.files()[f"{defect.program}.py"]  # type: ignore[attr-defined]
    source = Source("m.py", text.encode())
    every = surveyed({"m.py": list(range(1, 400))}, {})
    found = candidates.single([source], every)
    broken = sum(not parses(source.apply(one.proposal.edits)) for one in found[:400])
    assert len(found) > 50
    assert broken < 20
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len({one.identity for one in found}) == len(found)


def test_lines_that_no_failing_test_reaches_come_last() -> None:
    code = "def f(a):\n    if a:\n        return a + 1\n    return a - 1\n"
    source = Source("m.py", code.encode())
    found = candidates.single([source], surveyed({"m.py": [1, 2, 4]}, {}))
    best = {one.proposal.line: one.score for one in reversed(found)}
    assert best[4] > 5 * best[3]


def test_pairs_do_not_overlap_and_apply_together() -> None:
    code = (PROGRAMS / "divisor.py").read_text()
    source = Source("m.py", code.encode())
    singles = candidates.single([source], surveyed({"m.py": list(range(1, 30))}, {}))
    both = candidates.pairs(singles, {}, most=500)
    assert len(both) == 500
    for one in both[:200]:
        spans = sorted((edit.start, edit.stop) for edit in one.proposal.edits)
        assert all(first[1] <= second[0] for first, second in pairwise(spans))


@pytest.mark.parametrize("data", [b"def f(:\n", b"x = '\xff'\n", b"a = 1\rb = 2\n", b"(" * 5000, b"x = 1\0\n"])
def test_files_that_cannot_be_searched_are_refused(data: bytes) -> None:
    with pytest.raises(Unsearchable):
        Source("m.py", data)


def parses(data: bytes) -> bool:
    try:
        ast.parse(data)
    except SyntaxError:
        return False
    return True
