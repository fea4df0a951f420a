"""Chaos cycles: how many of 500 spawns and stops under random kill -9 leak, remove a living berth, or lose work.

``MOORAGE_CHAOS_CYCLES`` and ``MOORAGE_CHAOS_SEED`` choose others; ``python -m benchmarks.chaos`` runs it by itself.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Figure, at_most, main

CYCLES = int(os.environ.get("MOORAGE_CHAOS_CYCLES", "500"))
SEED = int(os.environ.get("MOORAGE_CHAOS_SEED", "1"))


def measure() -> list[Figure]:
    """One drill on data, Redis and engine of its own."""
    with tempfile.TemporaryDirectory(prefix="moor-", ignore_cleanup_errors=True) as directory:
        os.environ.update(
            MOORAGE_DATA=f"{directory}/data", DJANGO_SETTINGS_MODULE="config.settings", CELERY_BROKER_URL="memory://"
        )
        from tests.fakes.tied import Janitor

        janitor = Janitor(Path(directory))  # kill -9 of this leaves no berth mounted
        try:
            return _drill(Path(directory))
        finally:
            janitor.dismiss()


def _drill(directory: Path) -> list[Figure]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from resources.sandboxes import policy, selection
    from tests import factories
    from tests.fakes.engine_process import EngineProcess
    from tests.fakes.redis_process import RedisProcess
    from tests.faults.drill import Drill

    call_command("migrate", verbosity=0)
    (directory / "redis").mkdir()
    engine = EngineProcess(Path(tempfile.mkdtemp(prefix="moor-engine-")))
    redis = RedisProcess(directory / "redis")
    try:
        engine.start()
        engine.load(policy.DEFAULT_IMAGE)
        redis.start()
        os.environ["DOCKER_HOST"], settings.REDIS_URL = engine.url, redis.url
        selection.availabilities(fresh=True)
        drill = Drill(seed=SEED, engine=engine, redis=redis, user=factories.user("ada"))
        began = time.monotonic()
        for number in range(CYCLES):
            at = time.monotonic()
            drill.cycle()
            if os.environ.get("MOORAGE_CHAOS_TALK"):
                print(f"{number} {time.monotonic() - at:.1f} s {drill.last_words}", file=sys.stderr, flush=True)
        took_s = time.monotonic() - began
        drill.end()
    finally:
        redis.stop()
        engine.clear()
    tally = drill.tally
    for words in (*tally.leaked, *tally.live_removed, *tally.lost_work):
        print(words, file=sys.stderr)
    return [
        Figure("chaos cycles", tally.cycles, "cycles"),
        Figure("a cycle, mean", round(took_s / max(tally.cycles, 1), 2), "s"),
        *(Figure(f"kills of {name}", count, "kills") for name, count in sorted(tally.hits.items())),
        *(Figure(f"agents that {name}", count, "agents") for name, count in sorted(tally.ended.items())),
        at_most("leaked", len(tally.leaked), "cycles", 0),
        at_most("living berths removed", len(tally.live_removed), "berths", 0),
        at_most("work lost", len(tally.lost_work), "pieces", 0),
    ]


if __name__ == "__main__":
    main(measure)
