"""The search in each kind of sandbox: with the limits, the file system and the system calls that a berth has."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from agents.engines.protocol import CodeMap, Task, TestCounts
from agents.engines.repair.engine import RepairEngine
from agents.engines.repair.options import Options
from operations.coding.bench import BerthBench
from resources.sandboxes.protocol import Tier
from tests.resources.sandboxes.conftest import ALL, Opener, opener

__all__ = ["opener"]

BUGGY = "def first_above(values, bound):\n    at = 0\n    while values[at] <= bound:\n        at += 0\n    return at\n"
TESTS = (
    "from search import first_above\n\n\ndef test_first():\n    assert first_above([3, 5], 1) == 0\n\n\n"
    "def test_later():\n    assert first_above([1, 2, 4, 9], 2) == 2\n"
)


@pytest.mark.parametrize("tier", ALL)
def test_an_endless_loop_is_mended_in_every_tier(opener: Opener, tier: Tier) -> None:
    toolchain = Path(settings.TOOLCHAIN)
    sandbox = opener(
        tier,
        memory_mb=768,
        readable=(toolchain,),
        environment={"PATH": f"{toolchain}/bin:/usr/local/bin:/usr/bin:/bin"},
    )
    workspace = Path(sandbox.reference()["profile"]["workspace"])
    said: list[str] = []
    (workspace / "tree").mkdir()
    bench = BerthBench(sandbox=sandbox, directory=workspace / "tree", say=said.append, cancelled=lambda: False)
    bench.write("search.py", BUGGY.encode())
    bench.write("test_search.py", TESTS.encode())
    code_map = CodeMap((), {"python": 2}, ("python", "-m", "pytest", "-q"), TestCounts(), ("test_search::test_later",))
    task = Task("Mend it.", code_map, base_tree="f" * 40)
    engine = RepairEngine(Options(seconds=60))
    edits = engine.code(task, engine.plan(task, bench), bench)

    assert edits.changed == ("search.py",)
    assert "at += 1" in bench.read("search.py").decode()
    assert bench.files() == ["search.py", "test_search.py"]
    assert not (workspace / "repair-copy").exists()
