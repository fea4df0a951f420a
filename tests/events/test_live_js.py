"""The browser client, in a real browser, under the real content security policy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.events.berths import moved
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess

pytestmark = [pytest.mark.needs_chromium, pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all; each test has a context of its own in it."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, web_process: WebProcess, user: Any) -> Iterator[Page]:
    """A page about berth a, signed in."""
    session = Client()
    session.force_login(user)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies(
        [
            {
                "name": settings.SESSION_COOKIE_NAME,
                "value": session.cookies[settings.SESSION_COOKIE_NAME].value,
                "url": f"http://{web_process.address}/",
            }
        ]
    )
    page = context.new_page()
    page.goto(f"http://{web_process.address}/page")
    yield page
    context.close()


def test_a_page_shows_what_happens_and_goes_on_after_the_server_was_gone(
    page: Page, web_process: WebProcess, live_redis: RedisProcess
) -> None:
    state = page.locator("[data-live-status]")
    field = page.locator('[data-live-field="berth.a.status"]').first
    edited = page.locator('form [data-live-field="berth.a.status"]')
    expect(state).to_have_attribute("data-live-status", "live")
    page.locator("form input").focus()

    moved("a", status="sailing")
    expect(field).to_have_text("sailing")
    expect(field).to_have_attribute("data-value", "sailing")
    expect(edited).to_have_text("as typed")

    web_process.stop()
    expect(state).to_have_attribute("data-live-status", re.compile("waiting|polling"))
    moved("a", status="moored")
    web_process.start()
    expect(field).to_have_text("moored")
    expect(state).to_have_attribute("data-live-status", "live")
    assert page.evaluate("document.title") == "berth.moved 2"  # each event once: the page counts them


def test_what_ended_the_line_stays_to_be_read_when_the_page_is_hidden_for_long(
    page: Page, live_redis: RedisProcess
) -> None:
    state = page.locator("[data-live-status]")
    expect(state).to_have_attribute("data-live-status", "live")
    Session.objects.get().delete()
    expect(state).to_have_attribute("data-live-status", "signed-out")
    page.clock.install()
    page.evaluate("""() => {
        Object.defineProperty(document, "hidden", { get: () => true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page.clock.run_for(60 * 60 * 1000)
    expect(state).to_have_attribute("data-live-status", "signed-out")
