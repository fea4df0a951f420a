"""Keys that are typed into a line that is dead, but not known to be."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from sessions.host.wire import LIVE_ONLY
from sessions.models import Terminal
from tests.browser.conftest import Visitor
from tests.browser.terminals.page import control, enter, text, type_line, until
from tests.events.web_process import WebProcess
from tests.sessions.conftest import DaemonProcess
from tests.sessions.viewer import Viewer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]


def test_keys_that_a_dead_line_swallowed_are_typed_once_when_it_is_back(
    visitor: Visitor, web: WebProcess, terminal: Terminal
) -> None:
    page = enter(visitor, terminal)
    type_line(page, "echo be''fore; printf x >>times")
    until(page, "before")
    for turn in ("first", "second"):
        web.freeze()
        type_line(page, f"echo the' '{turn}' 'time; printf x >>times")
        web.kill()
        expect(page.locator("[data-banner]")).to_contain_text("Connection lost")
        web.start()
        until(page, f"the {turn} time", within_s=60)
        expect(page.locator("[data-banner]")).to_be_hidden(timeout=60_000)
    type_line(page, "echo counted' '$(wc -c <times)")
    until(page, "counted 3")
    assert [said for said in visitor.complaints if "net::ERR_" not in said] == []  # nobody answered for a while


def test_keys_of_before_are_not_typed_into_what_somebody_else_left(
    visitor: Visitor, web: WebProcess, terminal: Terminal, daemon: DaemonProcess
) -> None:
    page = enter(visitor, terminal)
    web.freeze()
    type_line(page, "echo typed' 'late")
    web.kill()
    with Viewer(daemon.socket) as other:
        other.attach(terminal, offset=LIVE_ONLY)
        other.take_control()
        other.type(b"echo some''body\n")
        other.read_until(b"somebody")
    web.start()
    expect(page.locator("[data-words]")).to_have_text("What you typed last may not have arrived.", timeout=60_000)
    expect(control(page)).to_contain_text("You are in control")
    type_line(page, "echo goes' 'on")
    until(page, "goes on")
    assert "typed late" not in text(page)
