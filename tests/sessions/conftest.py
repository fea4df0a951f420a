"""A registered host, a running agent with a real sandbox of the bare tier, and the real daemon beside it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from config.access.models import Scope, issue
from resources.models import Host
from resources.sandboxes import selection
from resources.sandboxes.protocol import Profile, Sandbox, Tier
from sessions import lifecycle
from sessions.host import client
from sessions.models import SessionHost, Terminal
from tests.events.web_process import WebProcess
from tests.fakes.forked import Forked
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually

HOST = "quay"


class DaemonProcess:
    """Starts, stops and kills the session host of one data directory."""

    def __init__(self, data: Path, *, host: str = HOST) -> None:
        self.data = data
        self.host = host
        self.socket = client.socket_path(data)
        self.log = data / "daemon.log"
        self._process: Forked | None = None

    def start(self, **extra: str) -> None:
        environment = {
            **os.environ,
            **extra,
            "MOORAGE_DATA": str(self.data),
            "MOORAGE_HOST_NAME": self.host,
            "MOORAGE_TEST_DATABASE": str(connection.settings_dict["NAME"]),
            "PYTHONWARNINGS": "default",
        }
        with self.log.open("ab") as log:
            self._process = Forked("tests.sessions.daemon", env=environment, output=log)
        eventually(lambda: not client.reason_not_ready(self.socket) or self.ended(), within_s=100)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def signal(self, number: int) -> int:
        """Send it, wait for the end, return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(60)

    def stop(self) -> None:
        if not self.ended():
            self.signal(signal.SIGTERM)

    def memory_mb(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 2**20


@pytest.fixture
def data() -> Iterator[Path]:
    """MOORAGE_DATA of a short name: sockets have to fit."""
    path = Path(tempfile.mkdtemp(prefix="moor-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemon(transactional_db: None, host: Host, data: Path) -> Iterator[DaemonProcess]:
    """A session host that runs."""
    process = DaemonProcess(data)
    process.start()
    yield process
    process.stop()
    log = process.log.read_text()
    assert "Traceback" not in log, log
    assert "never retrieved" not in log, log
    assert "Warning" not in log, log


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(
        name=HOST, slots=4, memory_mb=4096, cpu_millis=4000, disk_mb=4096, port_first=20000, port_last=20100,
        heartbeat_at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def user(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create(username="ada")


@pytest.fixture
def stranger(db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create(username="eve")


@pytest.fixture
def sandbox(data: Path) -> Iterator[Sandbox]:
    workspace = data / "workspace"
    workspace.mkdir()
    profile = Profile(owner="agent:test", generation=1, workspace=workspace)
    opened = selection.open_sandbox(profile, minimum=Tier.BARE, allow_bare=True, prefer=Tier.BARE)
    yield opened
    opened.close()


@pytest.fixture
def agent(host: Host, user: Any, sandbox: Sandbox) -> Agent:
    now = timezone.now()
    return Agent.objects.create(
        name="skipper", template="python", state=Agent.State.RUNNING, host=host, created_by=user, tier=sandbox.tier,
        sandbox=sandbox.reference(), created_at=now, state_since=now,
    )  # fmt: skip


@pytest.fixture
def state_of() -> Callable[[Terminal], str]:
    return lambda terminal: str(Terminal.objects.get(pk=terminal.pk).state)


@pytest.fixture
def web(daemon: DaemonProcess, redis_process: RedisProcess) -> Iterator[WebProcess]:
    """A web process that runs beside it."""
    process = WebProcess(database=str(connection.settings_dict["NAME"]), redis_url=redis_process.url)
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture
def token(user: Any) -> str:
    return issue(user=user, scope=Scope.WRITE)


@pytest.fixture
def terminal(web: WebProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, columns=80, rows=24)
