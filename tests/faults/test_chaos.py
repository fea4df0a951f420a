"""Random kills of worker, engine and Redis while agents come and go: nothing leaks, nobody else dies, no work is lost.

The same with 500 cycles: ``python -m benchmarks.chaos``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.fakes.engine_process import EngineProcess, engine_process, own_engine
from tests.fakes.redis_process import RedisProcess
from tests.faults.drill import Drill
from tests.flows.inline import memory_broker

__all__ = ["engine_process", "own_engine"]

pytestmark = [
    pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.needs_docker, pytest.mark.needs_bubblewrap,
    pytest.mark.timeout(900),
]  # fmt: skip
CYCLES = 10


@pytest.mark.django_db(transaction=True)
def test_cycles_of_chaos_leave_nothing_behind(
    own_engine: EngineProcess, redis_process: RedisProcess, settings: Any, data_directory: Path
) -> None:
    settings.REDIS_URL = redis_process.url
    with memory_broker():
        drill = Drill(seed=3, engine=own_engine, redis=redis_process, user=factories.user("ada"))
        for _ in range(CYCLES):
            drill.cycle()
        drill.end()
    tally = drill.tally
    assert (tally.cycles, tally.leaked, tally.live_removed, tally.lost_work) == (CYCLES, [], [], [])
    assert tally.hits.total() >= CYCLES // 3, tally.hits
    assert tally.ended["ran"] >= CYCLES // 2, tally.ended
