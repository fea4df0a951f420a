"""Terminals as people use them: a real Chromium, web process, session host and shell."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import expect

from agents.models import Agent
from sessions import lifecycle
from sessions.models import SessionHost, Terminal
from tests.browser.conftest import Visitor
from tests.browser.terminals.page import PROMPT, address, control, enter, text, type_line, until
from tests.events.web_process import WebProcess
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]


def test_terminal_is_opened_from_the_agent_s_page_typed_into_and_closed(
    visitor: Visitor, agent: Agent, daemon: DaemonProcess
) -> None:  # fmt: skip
    eventually(lambda: SessionHost.objects.exists())
    page = visitor.page
    visitor.go(reverse("admin:agents_agent_change", args=[agent.pk]))
    page.get_by_role("button", name="Open a terminal").click()
    expect(control(page)).to_contain_text("You are in control")
    type_line(page, "echo a''cross; printf '\\033[38;2;255;100;0mtruecolour\\033[0m\\n'")
    until(page, "across\ntruecolour")
    colour = page.locator(".xterm-rows span", has_text="truecolour").last
    expect(colour).to_have_attribute("style", re.compile("color"))  # beyond the palette; set by script, not inline
    page.get_by_role("button", name="Close and end its programs").click()
    expect(page.locator(".state-line .badge.big")).to_have_text("closed")
    assert Terminal.objects.get().reason == "closed in the console"
    assert visitor.complaints == []


def test_web_process_that_is_killed_and_comes_back_loses_and_doubles_no_line(
    visitor: Visitor, web: WebProcess, terminal: Terminal
) -> None:
    page = enter(visitor, terminal)
    type_line(page, "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line-$i-; sleep 0.02; done; echo that' 'is' 'all")
    until(page, "line-40-")
    web.stop()
    expect(page.locator("[data-banner]")).to_contain_text("Connection lost. The program runs on")
    expect(page.locator("[data-banner]")).to_contain_text("Attempt")
    web.start()
    expect(page.locator("[data-banner]")).to_be_hidden(timeout=60_000)
    seen = until(page, "that is all", within_s=60)
    assert [int(number) for number in re.findall(r"^line-(\d+)-$", seen, re.MULTILINE)] == list(range(1, 401))
    expect(control(page)).to_contain_text("You are in control")
    type_line(page, "echo typed' 'again")
    until(page, "typed again")


def test_session_host_that_is_gone_is_said_and_the_terminal_goes_on_under_the_next(
    visitor: Visitor, daemon: DaemonProcess, terminal: Terminal
) -> None:  # fmt: skip
    page = enter(visitor, terminal)
    daemon.signal(signal.SIGKILL)
    expect(page.locator("[data-words]")).to_contain_text("The session host does not answer.")
    expect(control(page)).to_have_text("Not connected.")
    daemon.start()
    expect(control(page)).not_to_have_text("Not connected.", timeout=60_000)


def test_whoever_is_signed_out_is_cut_off_and_told(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    Session.objects.all().delete()
    expect(page.locator("[data-banner]")).to_have_text("You are signed out. Reload the page to sign in.")
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).state == "detached")


def test_program_that_ends_says_with_which_code(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    type_line(page, "exit 3")
    expect(control(page)).to_have_text("the program ended with 3")
    assert visitor.complaints == []


def test_ten_thousand_lines_a_second_leave_the_page_responsive(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    type_line(page, "while :; do seq 1000; done")
    until(page, "1000")
    page.get_by_role("button", name="Give control back").click()
    expect(control(page)).to_contain_text("Nobody is in control")
    page.get_by_role("button", name="Take control").click()
    expect(control(page)).to_contain_text("You are in control")
    page.get_by_role("button", name="Into the terminal").click()

    def interrupted() -> bool:
        # More than once: a shell whose child has just ended by itself takes the key as meant for that child.
        page.keyboard.press("Control+c")
        page.wait_for_timeout(300)
        return bool(PROMPT.search(text(page)))

    eventually(interrupted)
    type_line(page, "echo calm' 'again")
    until(page, "calm again")
    assert visitor.complaints == []


HOSTILE = (
    r"<script>window.hacked=1</script><img src=x onerror=window.hacked=1>",
    r"\033]8;;javascript:window.hacked=1\033\\script-link\033]8;;\033\\",
    r"\033]8;;https://evil.example/\033\\web-link\033]8;;\033\\",
    r"\033]52;c;aGFja2Vk\007",
    r"\033]0;hacked title\007\033]2;hacked title\007",
    r"\033[21t\033]52;c;?\007",
    r"\033[?1049h\033[?1049l",
)


def test_hostile_output_is_inert(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('mine')")
    title = page.title()
    for payload in HOSTILE:
        type_line(page, f"printf '%b' '{payload}'; echo")
    type_line(page, "echo done' 'with' 'it")
    seen = until(page, "done with it")
    assert "<script>" in seen, "shown as what it is"
    for link in ("script-link", "web-link"):
        row = page.locator(".xterm-rows > div").filter(has_text=re.compile(f"^{link}$")).last
        row.click(force=True)
        row.click(force=True, modifiers=["Control"])
    assert len(page.context.pages) == 1
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("navigator.clipboard.readText()") == "mine"
    assert page.title() == title
    assert page.url.endswith(address(terminal))
    assert "hacked title" not in until(page, "done with it").rpartition("done with it")[2], "no report is typed"
    assert visitor.complaints == []


def test_two_terminals_are_tabs_on_one_socket(
    visitor: Visitor, terminal: Terminal, agent: Agent, user: Any
) -> None:  # fmt: skip
    lifecycle.request_open(agent_id=agent.pk, by=user, title="other")
    sockets: list[str] = []
    visitor.page.on("websocket", lambda socket: sockets.append(socket.url))
    page = enter(visitor, terminal)
    type_line(page, "echo in' 'work")
    until(page, "in work")
    page.locator("[data-tabs]").get_by_role("link", name="other").click()
    expect(page.get_by_role("heading", name="other")).to_be_visible()
    expect(control(page)).to_contain_text("You are in control")
    type_line(page, "echo in' 'other")
    assert "in work" not in until(page, "in other")
    page.go_back()
    assert "in other" not in until(page, "in work")
    assert len([url for url in sockets if "/ws/terminals/" in url]) == 1
    assert visitor.complaints == []


def test_keyboard_alone_goes_in_types_and_comes_out_again(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    page.keyboard.press("Tab")
    for _ in range(60):
        if page.evaluate("document.activeElement.textContent.trim()") == "Into the terminal":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.classList.contains('xterm-helper-textarea')")
    page.keyboard.type("echo by' 'keys\n")
    until(page, "by keys")
    page.keyboard.press("Tab")  # is the program's
    assert page.evaluate("document.activeElement.classList.contains('xterm-helper-textarea')")
    page.keyboard.press("Control+Shift+Period")
    expect(page.get_by_role("button", name="Into the terminal")).to_be_focused()
    expect(page.locator("[data-words]")).to_have_text("You have left the terminal.")
    assert visitor.complaints == []


def test_tab_out_of_sight_leaves_and_comes_back(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    page.evaluate("""() => {
        document.querySelector('[data-terminals]').dataset.hiddenAfterMs = '50';
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    expect(page.locator("[data-banner]")).to_contain_text("Left while this tab was out of sight")
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).state == "detached")
    page.evaluate("""() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }""")
    expect(control(page)).to_contain_text("You are in control")
    assert visitor.complaints == []


def test_window_s_size_becomes_the_terminal_s(visitor: Visitor, terminal: Terminal) -> None:
    page = enter(visitor, terminal)
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).columns != 80)
    wide = Terminal.objects.get(pk=terminal.pk).columns
    page.set_viewport_size({"width": 400, "height": 800})
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).columns < wide)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    type_line(page, "stty size")
    row = Terminal.objects.get(pk=terminal.pk)
    until(page, f"{row.rows} {row.columns}")
    assert visitor.complaints == []
