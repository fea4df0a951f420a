"""The gates that read both sides of a change, on real trees in a real vault."""

from __future__ import annotations

from typing import Any

import pytest

from operations.coding import gates
from operations.coding.vault import Vault
from tests.operations.coding.gate_keeping import LIMITS, Red, Tree

TEST = "def test_a():\n    x = f()\n    assert x == 1\n    assert x != 2\n\n\ndef test_b():\n    assert f()\n"


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "import os; os.system(text)",
        "from os import system as s; s(text)",
        "import os as o; o.popen(text)",
        "import subprocess; subprocess.run(text, shell=True)",
        "import subprocess; subprocess.run(text, shell=flag)",
        "import pickle; pickle.loads(text)",
        "import yaml; yaml.load(text)",
        "run = exec",
        "map(eval, text)",
        "import os; getattr(os, 'system')(text)",
        "__import__('os').system(text)",
        "__import__(text)",
    ],
)
def test_a_new_way_of_running_text_is_found_however_it_is_reached(red: Red, line: str) -> None:
    found = red({"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{line}\n"})
    assert list(found) == ["dangerous calls"]
    assert "a.py line 2" in found["dangerous calls"]


@pytest.mark.parametrize(
    "text",
    [
        "import re\nre.compile(text)\n",
        "def eval(x): ...\neval(1)\n",
        "model.eval()\n",
        "import ast\nast.literal_eval(t)\n",
        "import subprocess\nsubprocess.run(['ls'])\nsubprocess.run('ls', shell=False)\n",
        "# eval(text)\nx = 'os.system(1)'\n",
        "import yaml\nyaml.load(t, Loader=yaml.SafeLoader)\n",
        "session.execute('select 1 where a = %s', [a])\n",
        "import hashlib\nhashlib.md5(b, usedforsecurity=False)\n",
        "password = 'hunter2'\n",
    ],
)
def test_what_only_sounds_dangerous_is_let_through(red: Red, text: str) -> None:
    assert red({"a.py": "x = 1\n"}, {"a.py": text}) == {}


def test_a_dangerous_call_that_was_there_is_not_held_against_a_change(red: Red) -> None:
    old = "def f(t):\n    return eval(t)\n"
    assert red({"a.py": old}, {"a.py": "def f(t):\n    if t:\n        return eval(t)\n    return None\n"}) == {}
    assert red({"a.py": old, "b.py": "x = 1\n"}, {"a.py": "x = 2\n", "b.py": old}) == {}


def test_a_second_call_like_one_that_was_there_is_new(red: Red) -> None:
    old = "def f(t):\n    return eval(t)\n"
    assert list(red({"a.py": old}, {"a.py": old + "eval(t)\n"})) == ["dangerous calls"]


@pytest.mark.parametrize(
    "line",
    [
        "import requests; requests.get(u, verify=False)",
        "import hashlib; hashlib.md5(b)",
        "import os; os.chmod(p, 0o777)",
        "import ssl; c = ssl._create_unverified_context()",
        "cursor.execute(f'select a from b where c = {c}')",
        "cursor.execute('delete from b where c = ' + c)",
        "import tempfile; tempfile.mktemp()",
    ],
)
def test_a_new_weakness_is_found_but_not_in_tests(red: Red, line: str) -> None:
    assert list(red({"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{line}\n"})) == ["security"]
    assert red({"tests/a.py": "x = 1\n"}, {"tests/a.py": f"x = 1\n{line}\n"}) == {}


def test_a_removed_test_is_found_and_a_renamed_or_moved_one_is_none(red: Red) -> None:
    before = {"tests/test_a.py": TEST}
    assert list(red(before, {"tests/test_a.py": TEST.split("\n\n\n")[0] + "\n"})) == ["tests kept"]
    assert red(before, {"tests/test_a.py": TEST.replace("test_b", "test_better")}) == {}
    assert red(before, {"tests/unit/test_z.py": TEST}) == {}
    assert list(red({**before, "b.py": "x = 1\n"}, {"b.py": "x = 2\n"})) == ["tests kept"]


@pytest.mark.parametrize(
    "after",
    [
        TEST.replace("    assert x != 2\n", ""),
        TEST.replace("assert f()", "f()"),
        TEST.replace("assert f()", "assert True"),
        TEST.replace("assert f()", "assert f() or True"),
        TEST.replace("assert f()", "assert (f() == 1, 'words')"),
    ],
)
def test_a_test_that_asserts_less_is_found(red: Red, after: str) -> None:
    assert list(red({"test_a.py": TEST}, {"test_a.py": after})) == ["tests weakened"]


def test_an_assertion_that_moved_to_another_test_is_not_lost(red: Red) -> None:
    moved = TEST.replace("    assert x != 2\n", "") + "    assert f() != 2\n"
    assert red({"test_a.py": TEST}, {"test_a.py": moved}) == {}


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("test_a.py", TEST, "import pytest\n" + TEST.replace("def test_b", "@pytest.mark.skip\ndef test_b")),
        (
            "test_a.py",
            TEST,
            "import pytest\n" + TEST.replace("def test_b", "@pytest.mark.xfail(strict=False)\ndef test_b"),
        ),
        ("test_a.py", TEST, TEST.replace("    assert f()", "    pytest.skip('later')\n    assert f()")),
        ("conftest.py", "", "collect_ignore = ['test_a.py']\n"),
        ("pytest.ini", "[pytest]\n", "[pytest]\naddopts = --deselect test_a.py::test_b\n"),
        ("a.test.js", "it('a', f)\n", "it.skip('a', f)\n"),
        ("a.test.js", "it('a', f)\n", "it('a', f)\nit.only('b', f)\n"),
    ],
)
def test_a_test_that_is_newly_left_out_is_found(red: Red, path: str, before: str, after: str) -> None:
    found = red({path: before}, {path: after})
    assert "new skips" in found
    assert path in found["new skips"]


def test_an_old_skip_may_stay_and_move(red: Red) -> None:
    skipped = "import pytest\n" + TEST.replace("def test_b", "@pytest.mark.skip\ndef test_b")
    assert red({"test_a.py": skipped}, {"test_a.py": skipped.replace("def test_a", "def test_c")}) == {}


@pytest.mark.parametrize(
    ("path", "before", "after", "named"),
    [
        ("requirements.txt", "django>=4\n", "django>=5\nevil-package==1\n", "evil-package"),
        ("requirements.txt", "a\n", "a\n--index-url https://x.example\n", "--index-url"),
        ("pyproject.toml", "[project]\ndependencies = ['a']\n", "[project]\ndependencies = ['a>2', 'b']\n", "b"),
        ("package.json", '{"dependencies": {"a": "1"}}', '{"dependencies": {"a": "2", "b": "1"}}', "b"),
        ("package.json", "{}", '{"scripts": {"postinstall": "x"}}', "postinstall"),
        ("Cargo.toml", "[dependencies]\na = '1'\n", "[dependencies]\na = '2'\nb = '1'\n", "b"),
        (
            "go.mod",
            "module x\n\nrequire a.org/b v1\n",
            "module x\n\nrequire a.org/b v2\nrequire c.org/d v1\n",
            "c.org/d",
        ),
    ],
)
def test_a_new_dependency_is_named_and_a_new_version_is_none(
    red: Red, path: str, before: str, after: str, named: str
) -> None:
    found = red({path: before}, {path: after})
    assert list(found) == ["dependencies"]
    assert named in found["dependencies"]
    assert ";" not in found["dependencies"]


def test_a_random_value_under_a_secret_name_is_found_unless_marked(red: Red) -> None:
    line = "API" + "_KEY = 'q7Rz" + "P0vLk3Xw9TbM2sYd'"
    found = red({"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{line}\n"})
    assert list(found) == ["secrets"]
    assert "P0vLk3" not in found["secrets"]
    assert red({"a.py": "x = 1\n"}, {"a.py": f"x = 1\n{line}  # moorage: allow-secret\n"}) == {}


def test_a_mark_does_not_still_the_alarm_for_a_known_shape(red: Red) -> None:
    line = "k = 'AK" + "IA" + "Q7RZP0VLK3XW9TBM'  # moorage: allow-secret\n"
    assert list(red({"a.py": "x = 1\n"}, {"a.py": line})) == ["secrets"]


def test_sql_of_texts_that_stand_in_the_file_is_no_weakness_and_a_parameter_is_one(red: Red) -> None:
    def asks(how: str) -> str:
        return f"def ask(db, many, given):\n    lock = {how}\n    db.execute(f'SELECT * FROM moor {{lock}}')\n"  # noqa: S608

    assert red({"a.py": "x = 1\n"}, {"a.py": asks("'FOR UPDATE' if many else ''")}) == {}
    assert "security" in red({"a.py": "x = 1\n"}, {"a.py": asks("given if many else ''")})
    twice = asks("'' if many else 'LIMIT 1'") + "\ndef other(lock):\n    pass\n"
    assert "security" in red({"a.py": "x = 1\n"}, {"a.py": twice})


@pytest.mark.parametrize(
    ("filler", "real"),
    [
        ("AK" + "IA" + "ABCDEFGHIJKLMNOP", "AK" + "IA" + "Q7RZP0VLK3XW9TBM"),
        ("gh" + "p_" + "a" * 40, "gh" + "p_" + "a" * 40 + "q7RzP0vLk3Xw9TbM2sYd"),
        ("-----BEGIN " + "PRIVATE KEY-----\\nabc\\n-----END", "-----BEGIN " + "PRIVATE KEY-----\\n" + "MIIEvQ0b" * 8),
    ],
)
def test_a_test_may_hold_what_is_a_key_by_its_shape_alone(red: Red, filler: str, real: str) -> None:
    assert red({"tests/shapes.py": "x = 1\n"}, {"tests/shapes.py": f"x = '{filler}'\n"}) == {}
    assert "secrets" in red({"tests/shapes.py": "x = 1\n"}, {"tests/shapes.py": f"x = '{real}'\n"})
    assert "secrets" in red({"shapes.py": "x = 1\n"}, {"shapes.py": f"x = '{filler}'\n"})


def test_an_invisible_character_that_stays_is_not_new_and_joined_pictures_are_fine(red: Red) -> None:
    assert red({"a.py": "\ufeffx = 1\n"}, {"a.py": "\ufeffx = 2\n"}) == {}
    assert red({"a.md": "x\n"}, {"a.md": "x \U0001f469\u200d\U0001f680\n"}) == {}


def test_names_that_git_quotes_are_found_under_their_own_name(red: Red) -> None:
    found = red({"é b.py": "x = 1\n"}, {"é b.py": "x = 1\neval(x)\n"})
    assert "é b.py line 2" in found["dangerous calls"]


def test_the_template_says_what_a_finding_does(vault: Vault, tree_from: Tree) -> None:
    old, new = tree_from({"a.py": b"x = 1\n"}), tree_from({"a.py": b"x = 1\neval(x)\n"})

    def judged(**limits: Any) -> gates.GateResult:
        subject = gates.subject_of(vault=vault, base_tree=old, tree=new, limits={**LIMITS, **limits})
        return next(result for result in gates.judge(subject) if result.name == "dangerous calls")

    assert not judged().passed
    assert not judged().asks
    assert judged(on_violation="ask").asks
    assert judged(policy={"dangerous_calls": "ask"}).asks
    allowed = judged(policy={"dangerous_calls": "allow"}, on_violation="ask")
    assert allowed.passed
    assert "eval" in allowed.detail
