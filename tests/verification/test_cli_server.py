"""The same commands against the small server of the client's tests and against the real one: they must agree.

What the client's own tests show with the small server holds for Moorage because of these.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from agents import health
from agents.models import Fact
from config.access.models import issue
from events import live
from tests import factories
from tests.events.web_process import ROOT, WebProcess
from tests.fakes.moorage_server import TOKEN, MoorageServer
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually

pytestmark = [pytest.mark.needs_redis, pytest.mark.django_db(transaction=True)]


@dataclass
class Place:
    """A server and a way to run the client against it."""

    environment: dict[str, str]
    repository: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.Popen(
            argv, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip

    def moorage(self, *arguments: str, code: int = 0) -> str:
        with self.start(*arguments) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == code, output + errors
        return output


def _environment(url: str, token: str, home: Path) -> dict[str, str]:
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONIOENCODING": "utf-8"}
    return {"PATH": os.environ["PATH"], **own, "MOORAGE_URL": url, "MOORAGE_TOKEN": token}


def _small(server: MoorageServer) -> None:
    """One host, one agent, and a server that is well."""
    numbers = {"slots": 4, "memory_mb": 4096, "cpu_millis": 4000, "disk_mb": 8192, "ports": 100}
    reserved = dict.fromkeys(numbers, 0) | {"slots": 1}
    server.add(
        "hosts", name="node-1", verdict="alive", capacity=numbers, reserved=reserved, draining_since=None,
        heartbeat_at="2026-05-01T08:00:00Z",
    )  # fmt: skip
    agent = server.add(
        "agents", name="petrel", state="running", host="node-1", template="lightweight", tier="", blocked_by=[],
        error=None,
    )  # fmt: skip
    fact = {"kind": "state", "ok": True, "observed_at": "2026-05-01T08:00:00Z", "detail": "running"}
    server.documents[f"agents/{agent['id']}/health/"] = {"verdict": "unknown", "cause": "", "facts": [fact]}
    part = {"name": "database", "ok": True, "detail": "sqlite", "remedy": ""}
    server.documents["health/"] = {"ok": True, "parts": [part]}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Place]:
    with MoorageServer().running() as server:
        _small(server)
        yield Place(_environment(server.url, TOKEN, tmp_path), "https://git.example/tides.git")


@pytest.fixture
def real(tmp_path: Path, redis_process: RedisProcess) -> Iterator[Place]:
    while not live.publish_raw({"topic": "berth.warm_up", "seq": 1}):
        time.sleep(0.1)
    factories.host("node-1")
    health.observe(factories.running(name="petrel").pk, Fact.Kind.WORKER_HEARTBEAT, now=timezone.now())
    (tmp_path / "tides.git").mkdir()
    web = WebProcess(
        database=str(connection.settings_dict["NAME"]), redis_url=redis_process.url,
        application="tests.browser.web:application", MOORAGE_REPOSITORY_ROOTS=str(tmp_path),
    )  # fmt: skip
    try:
        web.start()
        token = issue(user=factories.user("eve", staff=True))
        yield Place(_environment(f"http://{web.address}", token, tmp_path), str(tmp_path / "tides.git"))
    finally:
        web.close()


@pytest.fixture(params=["small", "real"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def test_work_is_handed_in_watched_listed_shown_and_stopped(place: Place) -> None:
    made = json.loads(place.moorage("project", "create", "tides", place.repository, "--json"))
    assert made["name"] == "tides"
    assert "tides" in place.moorage("project", "list")
    assert made["id"] in place.moorage("project", "show", "tides")

    with place.start("run", "-p", "tides", "Tell the tides.", "--watch") as watching:
        eventually(lambda: "queued" in place.moorage("operation", "list"), within_s=30)
        (operation,) = json.loads(place.moorage("operation", "list", "--project", "tides", "--json"))
        assert operation["project_id"] == made["id"]
        assert re.search(r"status +queued", place.moorage("operation", "show", operation["id"][:8]))
        assert place.moorage("operation", "diff", operation["id"]) == ""
        place.moorage("operation", "cancel", operation["id"])
        output, errors = watching.communicate(timeout=60)
    assert watching.returncode == 1, output + errors
    assert operation["id"] in errors
    assert "cancelled" in output
    assert "cancelled" in place.moorage("operation", "watch", operation["id"], code=1)


def test_agents_are_listed_with_their_host_and_their_health_has_facts(place: Place) -> None:
    (row,) = [line for line in place.moorage("agent", "list").splitlines() if "petrel" in line]
    assert "running" in row
    assert "node-1" in row
    health = place.moorage("agent", "health", "petrel").splitlines()
    assert re.match(r"(healthy|idle|stuck|lost|unknown): ?", health[0])
    assert health[1].split() == ["FACT", "OK", "SEEN", "DETAIL"]
    assert json.loads(place.moorage("agent", "health", "petrel", "--json"))["facts"]


def test_hosts_show_what_is_reserved_of_what_they_lend(place: Place) -> None:
    (row,) = [line for line in place.moorage("host", "list").splitlines() if "node-1" in line]
    assert row.split()[:3] == ["node-1", "alive", "1/4"]


def test_the_doctor_names_each_part_and_its_exit_code_is_the_verdict(place: Place) -> None:
    with place.start("doctor") as asked:
        output, errors = asked.communicate(timeout=60)
    assert errors == ""
    assert "✓ database" in output
    last = output.splitlines()[-1]
    assert last.endswith(" is well.") if asked.returncode == 0 else last.endswith(" is not well.")


def test_what_is_not_there_is_refused_with_the_way_on(place: Place) -> None:
    with place.start("operation", "show", "0190a0a0-0000-7000-8000-000000000000") as asked:
        output, errors = asked.communicate(timeout=60)
    assert (asked.returncode, output) == (3, "")
    assert errors.startswith("moorage: ")
