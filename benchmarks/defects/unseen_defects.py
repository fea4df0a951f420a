"""Defects on which no operator was tuned: written after the engine, run on it first as it was (docs/repair.md).

Each project is a package ``programs`` and a folder of tests in one of two styles: cases in lines of JSON, or plain
tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs" / "unseen"
_READING = '''\
import json
from pathlib import Path


def cases(name):
    """The cases of a program: arguments and what is expected, one in a line."""
    return [json.loads(line) for line in (Path(__file__).parent / "cases" / f"{name}.json").read_text().splitlines()]
'''
_BY_CASES = """\
import pytest
from reading import cases

from programs.{name} import {name}


@pytest.mark.parametrize(("arguments", "expected"), cases("{name}"))
def test_{name}(arguments, expected):
    assert {name}(*arguments) == expected
"""


@dataclass(frozen=True, slots=True)
class Unseen:
    """In ``program``, ``right`` stands once; with ``wrong`` in its place, tests fail."""

    name: str
    right: str
    wrong: str

    @property
    def program(self) -> str:
        return self.name.partition(".")[0]

    @property
    def text(self) -> str:
        """The program without the defect."""
        return (PROGRAMS / f"{self.program}.py").read_text()

    def files(self) -> dict[str, str]:
        """The project with the defect: the package, its tests, and what they read."""
        if self.text.count(self.right) != 1:
            raise ValueError(f"{self.name}: {self.right!r} stands {self.text.count(self.right)} times")
        text = self.text.replace(self.right, self.wrong)
        cases, tests = PROGRAMS / f"{self.program}.json", PROGRAMS / f"test_{self.program}.py"
        if cases.exists():
            return by_cases(self.program, text, cases.read_text())
        return _package(self.program, text) | {f"tests/test_{self.program}.py": tests.read_text()}


def by_cases(program: str, text: str, cases: str) -> dict[str, str]:
    """A package with the program, and a folder of tests that read ``cases``."""
    return _package(program, text) | {
        "tests/reading.py": _READING,
        f"tests/cases/{program}.json": cases,
        f"tests/test_{program}.py": _BY_CASES.format(name=program),
    }


def _package(program: str, text: str) -> dict[str, str]:
    return {"conftest.py": "", "programs/__init__.py": "", f"programs/{program}.py": text}


UNSEEN: tuple[Unseen, ...] = (
    Unseen("collatz.sign", "3 * number + 1", "3 * number - 1"),
    Unseen("runs.last", "            last, count = character, 1\n    groups.append([last, count])\n",
           "            last, count = character, 1\n"),
    Unseen("josephus.range", "range(2, people + 1)", "range(2, people)"),
    Unseen("partitions.again", "partitions(total - largest, largest)", "partitions(total - largest, largest - 1)"),
    Unseen("partitions.base", "if total < 0 or largest == 0:", "if total < 0:"),
    Unseen("inorder.yield", "    yield tree.value\n    yield from inorder(tree.right)", "    yield tree.value"),
    Unseen("inorder.none", "    if tree is None:\n        return\n", ""),
    Unseen("bellman.weight", "distance[end] = distance[start] + weight", "distance[end] = distance[start]"),
    Unseen("schedule.before", "issuperset(following.before)", "issuperset(following.after)"),
    Unseen("schedule.growth", "for following in job.after:", "for following in placed:"),
    Unseen("heap.bound", "if child + 1 < size and heap[child + 1] < heap[child]", "if heap[child + 1] < heap[child]"),
    Unseen("islands.root", "parent[root(one)] = root(other)", "parent[one] = root(other)"),
    Unseen("spiral.condition", "if top < bottom and left < right:", "if top < bottom:"),
    Unseen("anagrams.sorted", '"".join(sorted(word))', '"".join(word)'),
    Unseen("palindrome.slice", "text[left + 1:right]", "text[left:right]"),
    Unseen("columns.one", "number = (number - 1) // 26", "number = number // 26"),
    Unseen("rooms.order", "for _, change in sorted(moments):", "for _, change in moments:"),
    Unseen("knapsack.bound", "weight - 1, -1)", "weight, -1)"),
    Unseen("weave.rest", "tail.following = first or second", "tail.following = first"),
    Unseen("change.again", "coins[place:]", "coins[place + 1:]"),
    Unseen("change.base", "        return [[]]\n", "        return []\n"),
    Unseen("keys.prefix", "prefix + key + \".\"", "key + \".\""),
    Unseen("recent.pop", "        self.values.pop(key, None)\n", ""),
    Unseen("recent.equal", "if len(self.values) > self.size:", "if len(self.values) >= self.size:"),
    Unseen("greater.compared", "values[waiting[-1]] < value", "waiting[-1] < value"),
    Unseen("power.square", "base = base * base % modulus", "base = base * exponent % modulus"),
    Unseen("shell.bound", "while hole >= gap and", "while hole > gap and"),
    Unseen("wildcard.rest", "wildcard(pattern, text[1:]))", "wildcard(pattern[1:], text[1:]))"),
    Unseen("circular.leave", "        under_way.remove(name)\n", ""),
    Unseen("brackets.pairs", "if len(built) - opened < opened:", "if len(built) - opened < pairs:"),
    Unseen("catalan.place", "numbers[size - 1 - left]", "numbers[size - left]"),
)  # fmt: skip
