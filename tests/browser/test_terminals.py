"""Terminals as people use them: a real Chromium, web process, session host and shell."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from agents.models import Agent
from sessions import lifecycle
from sessions.host import wire
from sessions.models import Recording, SessionHost, Terminal
from tests.browser.conftest import ROOT, Visitor
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess, agent, daemon, data, host, sandbox  # noqa: F401 - fixtures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]
STATIC = ROOT / "config" / "console" / "static"
PROMPT = re.compile(r"[$#] ?$", re.MULTILINE)


@pytest.fixture
def user(operator: Any) -> Any:
    """Whose agent it is."""
    return operator


@pytest.fixture
def web(daemon: DaemonProcess, live_redis: RedisProcess) -> Iterator[WebProcess]:  # noqa: F811 - a fixture
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
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:  # noqa: F811 - fixtures
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work")


@pytest.fixture
def second(browser: Browser, site: str, django_user_model: Any, visitor: Visitor) -> Iterator[Visitor]:
    """Another person in a browser of their own, who is staff too."""
    bob = django_user_model.objects.create_superuser("bob", password="tide-over-the-sill")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    other = Visitor(context.new_page(), site)
    other.heed()
    other.log_in(bob)
    yield other
    context.close()


def address(terminal: Terminal) -> str:
    return reverse("admin:terminals_terminal_change", args=[terminal.pk])


def text(page: Page) -> str:
    """All that the shown terminal holds."""
    return str(page.evaluate("window.moorageTerminals?.text() ?? ''"))


def until(page: Page, wanted: str, *, within_s: float = 30) -> str:
    """Its text, once ``wanted`` is in it."""
    return str(eventually(lambda: (seen := text(page)) and wanted in seen and seen, within_s=within_s))


def control(page: Page) -> Any:
    return page.locator("[data-control].control")


def enter(visitor: Visitor, terminal: Terminal) -> Page:
    """On its page, in control, behind the prompt."""
    visitor.go(address(terminal))
    expect(control(visitor.page)).to_contain_text("You are in control", timeout=30_000)
    eventually(lambda: PROMPT.search(text(visitor.page)), within_s=30)
    return visitor.page


def type_line(page: Page, line: str) -> None:
    page.get_by_role("button", name="Into the terminal").click()
    page.keyboard.type(f"{line}\n")


def test_terminal_is_opened_from_the_agent_s_page_typed_into_and_closed(
    visitor: Visitor, agent: Agent, daemon: DaemonProcess  # noqa: F811
) -> None:  # fmt: skip
    eventually(lambda: SessionHost.objects.exists())
    page = visitor.page
    visitor.go(reverse("admin:agents_agent_change", args=[agent.pk]))
    page.get_by_role("button", name="Open a terminal").click()
    expect(control(page)).to_contain_text("You are in control", timeout=30_000)
    type_line(page, "echo a''cross; printf '\\033[38;2;255;100;0mtruecolour\\033[0m\\n'")
    until(page, "across\ntruecolour")
    colour = page.locator(".xterm-rows span", has_text="truecolour").last
    assert colour.evaluate("each => each.style.color"), "beyond the palette, and not by an inline style"
    page.get_by_role("button", name="Close and end its programs").click()
    expect(page.locator(".state-line .badge.big")).to_have_text("closed")
    assert Terminal.objects.get().reason == "closed in the console"
    assert visitor.complaints == []


def test_second_person_watches_takes_over_and_the_first_is_told_and_refused(
    visitor: Visitor, second: Visitor, terminal: Terminal
) -> None:
    first, other = enter(visitor, terminal), second.page
    second.go(address(terminal))
    expect(control(other)).to_have_text("ada is in control. You are watching.")
    expect(first.locator("[data-people]")).to_contain_text("bob watching")
    type_line(first, "echo from' 'the' 'first")
    until(other, "from the first")
    other.get_by_role("button", name="Into the terminal").click()
    other.keyboard.type("echo lost")
    expect(other.locator("[data-words]")).to_have_text("You are watching: take control to type.")
    other.get_by_role("button", name="Take control").click()
    expect(control(other)).to_contain_text("You are in control")
    expect(control(first)).to_have_text("bob is in control. You are watching.")
    expect(first.locator("[data-words]")).to_have_text("You are not in control any more.")
    type_line(first, "echo re''fused")
    expect(first.locator("[data-words]")).to_have_text("You are watching: take control to type.")
    type_line(other, "echo from' 'the' 'second")
    seen = until(first, "from the second")
    assert "refused" not in seen
    assert "lost" not in seen
    first.get_by_role("button", name="Ask for control").click()
    expect(other.locator("[data-people]")).to_contain_text("asks for control")
    other.get_by_role("button", name="Hand control to ada").click()
    expect(control(first)).to_contain_text("You are in control")
    assert visitor.complaints == second.complaints == []


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
    visitor: Visitor, daemon: DaemonProcess, terminal: Terminal  # noqa: F811
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
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).state == "detached", within_s=20)


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

    eventually(interrupted, within_s=30)
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
    visitor: Visitor, terminal: Terminal, agent: Agent, user: Any  # noqa: F811
) -> None:  # fmt: skip
    lifecycle.request_open(agent_id=agent.pk, by=user, title="other")
    sockets: list[str] = []
    visitor.page.on("websocket", lambda socket: sockets.append(socket.url))
    page = enter(visitor, terminal)
    type_line(page, "echo in' 'work")
    until(page, "in work")
    page.locator("[data-tabs]").get_by_role("link", name="other").click()
    expect(page.get_by_role("heading", name="other")).to_be_visible()
    expect(control(page)).to_contain_text("You are in control", timeout=30_000)
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
    eventually(lambda: Terminal.objects.get(pk=terminal.pk).state == "detached", within_s=20)
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


def test_guest_is_let_in_and_taken_off_in_the_console(
    visitor: Visitor, terminal: Terminal, django_user_model: Any
) -> None:
    django_user_model.objects.create(username="eve")
    page = enter(visitor, terminal)
    page.get_by_label("User name").fill("eve")
    page.get_by_label("may type").check()
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Eve may type from now on.")
    page.get_by_role("button", name="Take eve off").click()
    expect(page.locator(".messagelist")).to_contain_text("Eve is taken off within a second.")
    page.get_by_label("User name").fill("nobody")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("here is no active user 'nobody'")
    assert visitor.complaints == []


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
        eventually(lambda: text(page).rstrip().splitlines()[-2:-1] == ["kbwg"], within_s=20)
        assert page.evaluate(FAINT) == []
    assert page.evaluate(NAMELESS) == []
    assert visitor.complaints == []


def test_recording_is_played_sought_and_downloaded(
    visitor: Visitor, agent: Agent, daemon: DaemonProcess, user: Any, web: WebProcess  # noqa: F811
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
    expect(page.locator("[data-words]")).to_have_text("The program ended with 4.", timeout=30_000)
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


# Axe's two commonest findings, for what this page adds: text below 4.5:1, and controls without a name.
FAINT = """() => {
    const parts = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parts(getComputedStyle(each).backgroundColor);
            if (colour.length < 4 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('.terminals *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest('style, .xterm-helpers, .xterm-cursor')) continue;
        if (element.matches(':disabled')) continue;
        const [front, back] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (ratio < 4.45) found.push(`${element.className}: ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return found;
}"""
NAMELESS = """() => [...document.querySelectorAll('.terminals :is(button, a, input, textarea)')]
    .filter((each) => each.checkVisibility())
    .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim()))
    .map((each) => each.outerHTML.slice(0, 120))"""


def test_page_allows_no_inline_style_but_by_its_nonce(client: Any, operator: Any, terminal: Terminal) -> None:
    client.force_login(operator)
    answers = [client.get(address(terminal)) for _ in range(2)]
    rules = [answer["Content-Security-Policy"] for answer in answers]
    nonces = [re.search(r"style-src 'self' 'nonce-([^']+)'", rule)[1] for rule in rules]
    assert nonces[0] != nonces[1]
    assert all("unsafe" not in rule for rule in rules)
    assert f'nonce="{nonces[0]}"' in answers[0].content.decode()
    other = client.get(reverse("admin:terminals_terminal_changelist"))["Content-Security-Policy"]
    assert "nonce" not in other


def test_vendored_emulator_is_what_its_checksums_say() -> None:
    vendored = STATIC / "vendor" / "xterm"
    sums = dict(line.split()[::-1] for line in (vendored / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in vendored.iterdir()} - {"SHA256SUMS", "README.md"}
    assert files == set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256((vendored / name).read_bytes()).hexdigest() == expected, name
        assert b"sourceMappingURL" not in (vendored / name).read_bytes()


def test_browser_speaks_the_frames_of_the_session_host() -> None:
    script = Path(STATIC / "moorage" / "terminal-wire.js").read_text()

    def numbers(name: str) -> dict[str, int]:
        table = re.search(rf"const {name} = Object.freeze\(\{{(.*?)\}}\)", script, re.DOTALL)[1]
        return {key: int(value, 0) for key, value in re.findall(r"(\w+): (\w+)", table)}

    for ours, theirs in ((wire.Kind, "Kind"), (wire.Problem, "Problem"), (wire.Wish, "Wish")):
        assert {each.name: each.value for each in ours}.items() <= numbers(theirs).items()
    assert f'"{wire.SUBPROTOCOL}"' in script
    assert f"ACK_EVERY = {wire.ACK_EVERY};" in script
    assert f"MOST_INPUT = {wire.MOST_DATA};" in script
