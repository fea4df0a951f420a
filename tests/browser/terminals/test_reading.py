"""A terminal to read: without scripts, in light and dark, and as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from agents.models import Agent
from sessions import lifecycle
from sessions.models import Recording, SessionHost, Terminal
from tests.browser.conftest import Visitor
from tests.browser.terminals.page import FAINT, NAMELESS, address, control, enter, text, type_line, until
from tests.events.web_process import WebProcess
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]


def test_without_scripts_the_plain_text_is_one_link_away(
    browser: Browser, visitor: Visitor, site: str, terminal: Terminal
) -> None:
    page = enter(visitor, terminal)
    type_line(page, "printf '\\033[31mplain\\033[0m <b>words</b>\\n'")
    until(page, "plain <b>")
    context = browser.new_context(java_script_enabled=False, storage_state=visitor.page.context.storage_state())
    still = context.new_page()
    still.goto(site + address(terminal))
    still.get_by_role("link", name="Read what it shows as plain text").click()
    expect(still.locator("pre")).to_contain_text("plain <b>words</b>")
    context.close()


def test_terminal_in_light_and_dark_has_no_control_without_a_name_and_no_faint_words(
    visitor: Visitor, terminal: Terminal
) -> None:
    page = enter(visitor, terminal)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        type_line(page, "printf '\\033[30mk\\033[34mb\\033[37mw\\033[90mg\\033[0m\\n'")
        eventually(lambda: text(page).rstrip().splitlines()[-2:-1] == ["kbwg"])
        assert page.evaluate(FAINT) == []
    assert page.evaluate(NAMELESS) == []
    assert visitor.complaints == []


def test_recording_is_played_sought_and_downloaded(
    visitor: Visitor, agent: Agent, daemon: DaemonProcess, user: Any, web: WebProcess
) -> None:  # fmt: skip
    eventually(lambda: SessionHost.objects.exists())
    terminal = lifecycle.request_open(agent_id=agent.pk, by=user, title="work", recording="output")
    page = enter(visitor, terminal)
    type_line(page, "echo fi''rst; sleep 1; echo se''cond; exit 4")
    expect(control(page)).to_have_text("the program ended with 4")
    eventually(lambda: Recording.objects.filter(terminal=terminal, ended_at__isnull=False).exists())
    visitor.go(address(terminal))
    page.get_by_role("link", name="Recording", exact=True).click()
    expect(page.locator("[data-clock]")).to_contain_text("0:00 of 0:0")
    assert "first" not in text(page)
    page.get_by_label("Speed").select_option("16")
    page.get_by_role("button", name="Play").click()
    expect(page.locator("[data-words]")).to_have_text("The program ended with 4.")
    assert "first\nsecond" in until(page, "second")
    position = page.get_by_role("slider", name="Position")
    position.press("Home")
    eventually(lambda: "first" not in text(page))
    position.press("End")
    assert "first\nsecond" in until(page, "second")
    assert page.evaluate(FAINT) == page.evaluate(NAMELESS) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_text().startswith('{"version": 3')
    assert visitor.complaints == []
