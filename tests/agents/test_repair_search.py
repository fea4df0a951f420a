"""The search on small projects of its own: what it finds, what it leaves alone, how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from agents.engines.protocol import CodeMap, EngineKind, Plan, Task, TestCounts
from agents.engines.repair import focus
from agents.engines.repair.engine import LABEL, RepairEngine
from agents.engines.repair.faults import (
    NotFound,
    NothingFails,
    NotLoadable,
    SearchBroken,
    SearchStopped,
    Unsupported,
)
from agents.engines.repair.harness import Harness, Verdict
from agents.engines.repair.options import Options
from agents.engines.repair.proposals import Candidate, Proposal
from agents.engines.repair.search import Search
from agents.engines.repair.source import Edit
from agents.engines.repair.survey import read
from resources.sandboxes.protocol import Outcome
from tests.fakes.workbench import DirectoryWorkbench

COMMAND = ("python", "-m", "pytest", "-q", "--junitxml={junit}")
FAST = Options(seconds=60, workers=2)
ADD = "def add(a, b):\n    return a - b  # the sum\n"
TEST_ADD = (
    "from adding import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\n"
    "def test_zero():\n    assert add(4, 0) == 4\n"
)


class ToolchainBench(DirectoryWorkbench):
    """A directory, and the python that berths have."""

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        argv = [str(Path(settings.TOOLCHAIN) / "bin" / "python"), *argv[1:]]
        return super().run(argv, timeout_s=timeout_s, stdin=stdin)


def bench_of(
    tmp_path: Path, files: dict[str, str | bytes], bench: type[DirectoryWorkbench] = ToolchainBench
) -> DirectoryWorkbench:
    made = bench(tmp_path / "tree")
    for path, content in {"pytest.ini": "[pytest]\n", **files}.items():
        made.put(path, content)
    return made


def task(
    *, failing: Sequence[str] = ("(the whole run)",), command: Sequence[str] = COMMAND, attempt: int = 1,
    requirements: str = "Mend it.",
) -> Task:  # fmt: skip
    code_map = CodeMap((), {"python": 1}, tuple(command), TestCounts(), tuple(failing))
    return Task(requirements, code_map, base_tree="a" * 40, attempt=attempt)


def repaired(bench: DirectoryWorkbench, options: Options = FAST, **wanted: object) -> str:
    return RepairEngine(options).code(task(**wanted), Plan("", ()), bench).summary  # type: ignore[arg-type]


def test_only_the_bytes_of_the_edit_change_whatever_the_file_looks_like(tmp_path: Path) -> None:
    odd = b"\xef\xbb\xbf# h\xc3\xa9llo\r\n" + ADD.replace("\n", "\r\n").encode() + b"\r\n\r\nUNUSED   =  [ 1,2 ]  "
    bench = bench_of(tmp_path, {"adding.py": odd, "test_adding.py": TEST_ADD})

    summary = repaired(bench)

    assert bench.read("adding.py") == odd.replace(b"a - b", b"a + b")
    assert "replace `-` by `+`" in summary
    assert "Tests chose it, not understanding" in summary
    assert sorted(bench.files()) == ["adding.py", "pytest.ini", "test_adding.py"]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".jsonl")) == ["tree"]


def test_an_edit_that_breaks_another_test_is_no_repair(tmp_path: Path) -> None:
    code = "def clip(n):\n    if n > 10:\n        return 9\n    return n\n"
    tests = (
        "import pytest\nfrom clipping import clip\n\n\n"
        "@pytest.mark.parametrize(('n', 'm'), [(11, 10), (50, 10), (10, 10), (9, 9), (0, 0)])\n"
        "def test_clip(n, m):\n    assert clip(n) == m\n"
    )
    bench = bench_of(tmp_path, {"clipping.py": code, "test_clipping.py": tests})
    repaired(bench)
    assert bench.text("clipping.py") == code.replace("return 9", "return 10")


def test_two_edits_are_found_where_one_is_not_enough(tmp_path: Path) -> None:
    code = "def edge(w, h):\n    return w + h - 2\n"
    tests = (
        "import pytest\nfrom area import edge\n\n\n"
        "@pytest.mark.parametrize(('w', 'h', 'n'), [(3, 5, 17), (1, 7, 9), (6, 2, 14)])\n"
        "def test_edge(w, h, n):\n    assert edge(w, h) == n\n"
    )
    bench = bench_of(tmp_path, {"area.py": code, "test_area.py": tests})
    summary = repaired(bench, Options(seconds=110, workers=2))
    assert bench.text("area.py") == "def edge(w, h):\n    return w * h + 2\n"
    assert ";" in summary


def test_memory_eaters_and_forks_in_candidates_end_with_them(tmp_path: Path) -> None:
    code = (
        "def fill(n):\n    row = []\n    while len(row) != n:\n        row.append(len(row) * 2)\n"
        "        row.append(0)\n    return row\n"
    )
    tests = (
        "from filling import fill\n\n\ndef test_fill():\n    assert fill(3) == [0, 2, 4]\n\n\n"
        "def test_none():\n    assert fill(0) == []\n"
    )
    bench = bench_of(tmp_path, {"filling.py": code, "test_filling.py": tests})
    repaired(bench)
    assert "row.append(0)" not in bench.text("filling.py")


def test_what_a_candidate_does_to_files_is_done_to_a_copy(tmp_path: Path) -> None:
    code = (
        "import os\n\n\ndef tidy(names, keep):\n"
        "    for name in names:\n        if name == keep:\n            os.remove(name)\n"
        "    return sorted(os.listdir('box'))\n"
    )
    tests = "from tidying import tidy\n\n\ndef test_tidy():\n    assert tidy(['box/a', 'box/b'], 'box/a') == ['a']\n"
    bench = bench_of(tmp_path, {"tidying.py": code, "test_tidying.py": tests, "box/a": "a", "box/b": "b"})
    repaired(bench)
    assert bench.text("tidying.py") == code.replace("name == keep", "name != keep")
    assert (bench.text("box/a"), bench.text("box/b")) == ("a", "b")


def test_what_a_candidate_leaves_in_memory_is_not_seen_by_the_next(tmp_path: Path) -> None:
    code = "KNOWN = {}\n\n\ndef square(n):\n    if n not in KNOWN:\n        KNOWN[n] = n % n\n    return KNOWN[n]\n"
    tests = "from squares import square\n\n\ndef test_three():\n    assert square(3) == 9\n"
    bench = bench_of(tmp_path, {"squares.py": code, "test_squares.py": tests})
    repaired(bench)
    assert bench.text("squares.py") == code.replace("n % n", "n * n")


def test_parameters_that_a_candidate_empties_are_whole_again_for_the_next(tmp_path: Path) -> None:
    code = "def last(items):\n    found = items.pop()\n    items.clear()\n    return found - 1\n"
    tests = (
        "import pytest\n\nfrom lasts import last\n\n\n"
        "@pytest.mark.parametrize('items, wanted', [([1, 4], 5), ([3], 4)])\n"
        "def test_last(items, wanted):\n    assert last(items) == wanted\n"
    )
    bench = bench_of(tmp_path, {"lasts.py": code, "test_lasts.py": tests})
    repaired(bench)
    assert bench.text("lasts.py") == code.replace("found - 1", "found + 1")


class Lucky(Harness):
    """A sandbox in which all pass, until a survivor with a set is confirmed a second time."""

    def __init__(self) -> None:
        self.confirmed: list[str] = []

    def attempt(self, candidates: Sequence[Candidate], **_: object) -> tuple[list[Verdict], list[str]]:
        return [Verdict(candidates[0].identity, "passes", 1)], []

    def confirm(self, candidate: Candidate, **_: object) -> tuple[str, ...]:
        text = candidate.proposal.edits[0].text
        self.confirmed.append(text)
        return ("t.py::t",) if self.confirmed.count(text) > 1 else ()


def test_what_passes_by_the_order_of_a_set_is_refused_and_the_search_goes_on_with_the_next() -> None:
    survey = read({"tests": [{"id": "t.py::t", "outcome": "failed", "seconds": 0.01}]})
    singles = [
        Candidate("m.py", "f", 1, False, Proposal((Edit(0, 1, text),), 0.5, "call added", 1, text), 0.5)
        for text in ("set(word)", "sorted(word)")
    ]
    lucky = Lucky()
    found = Search(lucky, survey, replace(FAST, seconds=6), say=print, started=time.monotonic()).run(singles)
    assert found.candidate is singles[1]
    assert lucky.confirmed == ["set(word)", "set(word)", "sorted(word)"]


OTHERS = {
    "loops.py": "def loop(n):\n    while n:\n        n = n + 0\n    return n\n",
    "test_loops.py": "from loops import loop\n\n\ndef test_loop():\n    assert loop(1) == 0\n",
    "test_gone.py": "import gone\n\n\ndef test_gone():\n    assert gone\n",
}


def test_where_the_names_of_failing_tests_were_lost_the_requirement_tells_which_are_meant(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, {"adding.py": ADD, "test_adding.py": TEST_ADD, **OTHERS})
    repaired(bench, requirements="Mend the defect in adding.")
    assert bench.text("adding.py") == ADD.replace("a - b", "a + b")
    assert bench.text("loops.py") == OTHERS["loops.py"]


def test_a_constant_of_the_module_is_searched_as_well(tmp_path: Path) -> None:
    code = "RATES = {'a': 10, 'b': 21}\nFEE = 4\n\n\ndef price(kind):\n    return RATES[kind] + FEE\n"
    tests = (
        "from rates import price\n\n\ndef test_a():\n    assert price('a') == 14\n\n\n"
        "def test_b():\n    assert price('b') == 24\n"
    )
    bench = bench_of(tmp_path, {"rates.py": code, "test_rates.py": tests})
    repaired(bench, failing=("test_rates::test_b",))
    assert bench.text("rates.py") == code.replace("21", "20")


def test_a_later_attempt_passes_over_what_was_sent_back(tmp_path: Path) -> None:
    code = "def twice(n):\n    return n\n"
    bench = bench_of(
        tmp_path,
        {"twice.py": code, "test_twice.py": "from twice import twice\n\n\ndef test_two():\n    assert twice(2) == 4\n"},
    )
    repaired(bench)
    first = bench.text("twice.py")
    bench.put("twice.py", code)
    repaired(bench)
    assert bench.text("twice.py") == first  # the same attempt again, as after a kill
    bench.put("twice.py", code)
    repaired(bench, attempt=2)
    assert bench.text("twice.py") not in {first, code}


def test_a_search_that_was_killed_does_not_try_again_what_it_tried(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"adding.py": ADD, "test_adding.py": TEST_ADD.replace("== 5", "== 'five'")}
    bench = bench_of(tmp_path, files)
    with pytest.raises(NotFound):
        repaired(bench, Options(seconds=60, candidates=30, workers=2))
    (journal,) = tmp_path.glob("*.jsonl")
    before = journal.read_bytes().splitlines()
    journal.write_bytes(journal.read_bytes() + b'["cut by a ki')
    with pytest.raises(NotFound):
        repaired(bench, Options(seconds=60, candidates=30, workers=2))
    tried = [json.loads(line)[0] for line in before]
    again = [json.loads(line)[0] for line in journal.read_bytes().splitlines()[len(before) + 1 :]]
    assert tried
    assert not set(tried) & set(again)


def test_the_ways_it_cannot_work_are_told_apart(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, {"adding.py": ADD, "test_adding.py": TEST_ADD})
    with pytest.raises(NothingFails, match="pass as it is"):
        repaired(bench, failing=())
    with pytest.raises(Unsupported, match="make test"):
        repaired(bench, command=("make", "test"))
    bench.put("test_adding.py", "def test_it():\n    assert 1 == 2\n")
    with pytest.raises(Unsupported, match="can be searched"):
        repaired(bench)
    bench.put("test_adding.py", "import nothing_of_this_name\n")
    with pytest.raises(NotLoadable, match=r"test_adding\.py"):
        repaired(bench)
    bench.put("test_adding.py", TEST_ADD.replace("add(2, 3)", "add(2, 3) + 6").replace("== 4", "== 4 or True"))
    with pytest.raises(NothingFails, match="one by one"):
        repaired(bench)


def test_a_cancelled_search_stops_with_a_reason(tmp_path: Path) -> None:
    bench = ToolchainBench(tmp_path / "tree", cancelled=lambda: True)
    for path, text in {"pytest.ini": "[pytest]\n", "adding.py": ADD, "test_adding.py": TEST_ADD}.items():
        bench.put(path, text)
    with pytest.raises(SearchStopped):
        repaired(bench)
    assert bench.text("adding.py") == ADD


class LyingBench(ToolchainBench):
    """A sandbox whose answers are somebody else's."""

    answers: list[bytes] = []

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        real = super().run(argv, timeout_s=timeout_s, stdin=stdin)
        text = self.answers.pop(0) if self.answers else real.stdout
        return Outcome(0, text, b"", False, False, False, 0.1, real.tier)


@pytest.mark.parametrize(
    "answer", [b"", b"\xff\xfe", b"[]", b'{"tests": 3}', b'{"tests": [{"id": 1}]}', b'{"tests": ' + b"[" * 100_000]
)
def test_a_sandbox_that_answers_something_else_is_a_fault_and_no_crash(tmp_path: Path, answer: bytes) -> None:
    bench = bench_of(tmp_path, {"adding.py": ADD, "test_adding.py": TEST_ADD}, LyingBench)
    bench.answers = [answer]  # type: ignore[attr-defined]
    with pytest.raises(SearchBroken):
        repaired(bench)


def test_a_path_that_the_sandbox_makes_up_is_not_read(tmp_path: Path) -> None:
    test = {
        "id": "t.py::t",
        "outcome": "failed",
        "seconds": 0.1,
        "known": True,
        "lines": {"../../etc/x.py": [1], "gone.py": [1]},
    }
    bench = bench_of(tmp_path, {}, LyingBench)
    bench.answers = [json.dumps({"tests": [test]}).encode()]  # type: ignore[attr-defined]
    with pytest.raises(Unsupported):
        repaired(bench)


def test_it_is_labelled_as_what_it_is() -> None:
    engine = RepairEngine()
    assert (engine.kind, engine.label(), engine.usage()) == (EngineKind.REPAIR, LABEL, {})
    assert "no AI was used" in LABEL


def test_a_requirement_that_names_its_tests_is_about_those_alone(tmp_path: Path) -> None:
    # The other file's tests fail for a reason of their own, and one never ends.
    other = "def test_other():\n    assert False\n\n\ndef test_for_ever():\n    while True:\n        pass\n"
    bench = bench_of(tmp_path, {"adding.py": ADD, "test_adding.py": TEST_ADD, "test_other.py": other})
    failing = ("test_adding::test_add", "test_other::test_other", "test_other::test_for_ever")
    asked = replace(task(failing=failing), requirements="Mend adding.py, please.")
    edits = RepairEngine(FAST).code(asked, Plan("", ()), bench)
    assert edits.changed == ("adding.py",)
    assert "return a + b" in bench.text("adding.py")
    assert "2 other failing tests are left aside" in "\n".join(bench.said)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("Make gcd right", "a b"), ("see test_gcd.py", "a b"), ("test_small fails", "a"), ("Fix TestBig", "c"),
        ("Make the tests pass", "a b c"), ("gcds and test", "a b c"),
    ],
)  # fmt: skip
def test_which_tests_are_meant(words: str, names: str) -> None:
    tests = {"tests.test_gcd::test_small[1-2]": "a", "tests.test_gcd::test_big": "b", "sums_test.TestBig::test_it": "c"}
    assert [tests[name] for name in focus.meant(words, tuple(tests))] == names.split()
