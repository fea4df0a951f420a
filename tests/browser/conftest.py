"""A real web process on the test's database, and Debian's Chromium, which tells what it did not like."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from events import live
from tests.fakes.forked import Forked
from tests.fakes.redis_process import RedisProcess

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "tide-over-the-sill"
# Of a browser on a machine whose cores are all taken, where a web process needs half a minute to start. Where all goes
# well it costs nothing.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Visitor:
    """A browser tab, the site's address, and all that went wrong in it."""

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the site."""
        answer = self.page.goto(self.site + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)

    def come_in(self, user: Any) -> None:
        """On the index, signed in as by the form: three pages less to load."""
        signed_in = Client()
        signed_in.force_login(user)
        cookie = signed_in.cookies[settings.SESSION_COOKIE_NAME]
        self.page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": self.site}])
        self.go("/admin/")

    def log_in(self, user: Any) -> None:
        """By the form, as people do."""
        self.go("/admin/login/?next=/admin/")
        self.page.fill("#id_username", user.username)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("#login-form [type=submit]")
        self.page.wait_for_url(f"{self.site}/admin/")

    def heed(self) -> None:
        """Note each refused or failed load, each script error, and each request to somebody else."""
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("request", lambda request: self._check(request.url))
        self.page.on(
            "console", lambda said: self.complaints.append(f"console: {said.text}") if said.type == "error" else None
        )

    def _check(self, url: str) -> None:
        if not url.startswith((f"{self.site}/", "data:")):
            self.complaints.append(f"foreign: {url}")


@pytest.fixture
def operator(transactional_db: None, django_user_model: Any) -> Any:
    """A superuser who can log in."""
    return django_user_model.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture
def live_redis(redis_process: RedisProcess) -> RedisProcess:
    """A Redis that runs, and that this process does not avoid because of an earlier test."""
    while not live.publish_raw({"topic": "harbour.warm_up", "seq": 1}):
        time.sleep(0.1)
    return redis_process


@pytest.fixture
def repositories(tmp_path: Path, settings: Any) -> Path:
    """A directory whose repositories are allowed, here and in the web process."""
    directory = tmp_path / "roots"
    directory.mkdir()
    settings.REPOSITORY_ROOTS = [directory]
    return directory


@pytest.fixture
def site(live_redis: RedisProcess, data_directory: Path, repositories: Path, operator: Any) -> Iterator[str]:
    """``http://127.0.0.1:port`` of a web process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        environment = {
            **os.environ,
            "MOORAGE_TEST_DATABASE": str(connection.settings_dict["NAME"]),
            "MOORAGE_REDIS_URL": live_redis.url,
            "MOORAGE_DATA": str(data_directory),
            "MOORAGE_SECRET_KEY": settings.SECRET_KEY,
            "MOORAGE_REPOSITORY_ROOTS": str(repositories),
            "PYTHONPATH": str(ROOT),
        }
        process = Forked(
            "uvicorn", "tests.browser.web:application", "--fd", str(listener.fileno()), "--lifespan", "off",
            "--log-level", "warning", env=environment, keeps=[listener.fileno()],
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert process.poll() is None, "the web process died"
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module: its event loop must be gone before tests with loops of their own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Browser, site: str, operator: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    """Logged in, on the index."""
    # Playwright's loop runs in this thread; the test's own queries are made between its calls, never inside one.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    visitor = Visitor(context.new_page(), site)
    visitor.heed()
    visitor.come_in(operator)
    yield visitor
    context.close()
