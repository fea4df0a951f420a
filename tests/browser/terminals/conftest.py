"""A terminal of a real shell, and the processes between it and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser

from agents.models import Agent
from sessions import lifecycle
from sessions.models import SessionHost, Terminal
from tests.browser.conftest import PATIENCE_MS, Visitor
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess, agent, daemon, data, host, sandbox

__all__ = ["agent", "daemon", "data", "host", "sandbox"]


@pytest.fixture
def user(operator: Any) -> Any:
    """Whose agent it is."""
    return operator


@pytest.fixture
def web(daemon: DaemonProcess, live_redis: RedisProcess) -> Iterator[WebProcess]:
    process = WebProcess(
        database=str(connection.settings_dict["NAME"]), redis_url=live_redis.url,
        application="tests.browser.web:application", MOORAGE_DATA=str(daemon.data),
    )  # fmt: skip
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture
def site(web: WebProcess) -> str:
    return f"http://{web.address}"


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work")


@pytest.fixture
def second(browser: Browser, site: str, django_user_model: Any, visitor: Visitor) -> Iterator[Visitor]:
    """Another person in a browser of their own, who is staff too."""
    bob = django_user_model.objects.create_superuser("bob", password="tide-over-the-sill")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    other = Visitor(context.new_page(), site)
    other.heed()
    other.come_in(bob)
    yield other
    context.close()
