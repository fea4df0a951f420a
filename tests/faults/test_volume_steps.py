"""kill -9 at each named step of making and of taking away volumes: no mount, image or lease is left, nothing kept goes.

See :mod:`tests.faults.test_steps`: these lives have a scratch volume, a cache that they write to and a lent directory.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.models import State
from resources.volumes import berths, wanted
from tests import factories
from tests.fakes.redis_process import RedisProcess
from tests.faults.drill import Drill
from tests.faults.leftovers import clear_away
from tests.flows.inline import memory_broker

pytestmark = [
    pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.needs_docker, pytest.mark.needs_bubblewrap,
    pytest.mark.needs_root, pytest.mark.timeout(240),
]  # fmt: skip

# tier, step of spawn, step of stop: each in the order in which a worker comes to it.
LIVES = [
    # nothing is made; all has gone
    ("process", "enter resources.volumes.berths.prepare", "leave resources.volumes.berths.remove"),
    # its scratch image is mounted; nothing is unmounted
    ("process", "leave resources.volumes.berths._Maker._scratch", "enter resources.volumes.staging.unmount"),
    # its cache is mounted, and not restricted yet; one mount has gone
    ("process", "leave resources.volumes.staging._mount", "leave resources.volumes.staging.unmount"),
    # its cache is mounted; no mount is left, directories are
    ("container", "leave resources.volumes.staging.bind", "leave resources.volumes.berths._remove"),
    # all are made, and nothing runs; nothing is looked at
    ("container", "leave resources.volumes.berths.prepare", "enter resources.volumes.berths.remove"),
]
LADEN = """apiVersion: moorage/v1
kind: Template
name: laden
version: 1.0.0
extends: lightweight
spec:
  volumes:
    - {target: /cache/own, size_mb: 8}
    - {target: /cache/kept, kind: cache, name: kept, read_only: false}
    - {target: /data, kind: host, source: LENT}
"""


@pytest.fixture
def lent(settings: Any, data_directory: Path, tmp_path: Path) -> Path:
    made = tmp_path / "lent"
    made.mkdir(mode=0o755)
    (made / "a").write_text("lent\n")
    settings.VOLUME_SOURCES = [made]
    (data_directory / "templates").mkdir()
    (data_directory / "templates" / "laden.yaml").write_text(LADEN.replace("LENT", str(made)))
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], data_directory / "templates"]
    return made


@pytest.fixture
def drill(redis_process: RedisProcess, settings: Any, lent: Path) -> Iterator[Drill]:
    settings.REDIS_URL, settings.INSTALL_ID = redis_process.url, f"test-{uuid.uuid4()}"
    with memory_broker():
        made = Drill(seed=0, engine=None, redis=redis_process, user=factories.user("ada"))
        made.host.facts["volumes"] = wanted.grants()
        made.template = "laden"
        yield made
        made.end()
    clear_away(settings)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_at_any_step_of_its_volumes_leaves_none_and_loses_nothing_kept(
    drill: Drill, lent: Path
) -> None:
    kept: Path | None = None
    for number, (tier, spawn, stop) in enumerate(LIVES, start=1):
        agent = drill.dies_at(tier=tier, spawn=spawn, stop=stop)
        tally, at = drill.tally, f"{tier}: {spawn}, {stop}"
        assert (tally.missed, tally.leaked, tally.live_removed, tally.lost_work) == ([], [], [], []), at
        assert (tally.cycles, tally.ended["ran"], agent.state) == (number, number, State.STOPPED), (at, agent.error)
        assert (lent / "a").read_text() == "lent\n", at
        if kept is None:
            kept = berths.kept_at(f"project-{agent.project_id}-kept")
            (kept / "precious").write_text("mine\n")
        assert (kept / "precious").read_text() == "mine\n", at
    assert berths.names() == []
