"""A piece of work from the wizard to its pull request, in a real browser, through outages, floods and hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from events.journal import record
from operations import step_logs
from operations.coding.stage_log import StageLog
from operations.models import Operation, Project, Stage, Step
from operations.submit import load
from tests.browser import accessible, rows
from tests.browser.conftest import PASSWORD, Visitor
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess
from tests.flows.inline import PLAIN_TEMPLATE, Inline, memory_broker
from tests.flows.repositories import FIX, PROJECT, make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]
SLOW_MS = 60_000  # for what waits for a process to start, or for stages to run


@pytest.fixture
def cluster(
    transactional_db: None, live_redis: RedisProcess, data_directory: Path, repositories: Path, settings: Any
) -> Iterator[Inline]:
    """The workers' part, run by the test; what happens is told over the same Redis as the browser's."""
    settings.ISOLATION, settings.ALLOW_BARE = "bare", True
    (data_directory / "templates").mkdir()
    (data_directory / "templates" / "plain.yaml").write_text(PLAIN_TEMPLATE)
    settings.TEMPLATE_DIRECTORIES = [settings.BASE_DIR / "templates_app" / "library", data_directory / "templates"]
    with memory_broker():
        yield Inline(roots=repositories)


@pytest.fixture
def operator(cluster: Inline) -> Any:
    """Whose cluster it is, with a password and every right."""
    user = cluster.user
    user.is_staff = user.is_superuser = True
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def web(live_redis: RedisProcess, data_directory: Path, repositories: Path, operator: Any) -> Iterator[WebProcess]:
    process = WebProcess(
        database=str(connection.settings_dict["NAME"]), redis_url=live_redis.url,
        application="tests.browser.web:application", MOORAGE_DATA=str(data_directory),
        MOORAGE_REPOSITORY_ROOTS=str(repositories),
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
def project(operator: Any) -> Project:
    return rows.project(operator)


def address(operation: Operation, part: str = "change") -> str:
    return reverse(f"admin:operations_operation_{part}", args=[operation.pk])


def live(page: Page) -> None:
    expect(page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live", timeout=SLOW_MS)


def focus(page: Page, wanted: Locator, *, within: int = 80) -> None:
    """Go there by the tabulator alone."""
    for _ in range(within):
        if wanted.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not come there")


def test_a_task_of_the_wizard_is_watched_to_its_pull_request_without_a_reload(
    visitor: Visitor, cluster: Inline, repositories: Path
) -> None:
    remote, page = make(repositories / "calc.git", PROJECT), visitor.page
    visitor.go("/admin/operations/operation/add/")
    page.get_by_label("Repository", exact=True).fill(str(remote.path))
    page.get_by_label("Base branch", exact=True).fill("trunk")
    looked = page.locator("[data-look-part=remote]")
    expect(looked).to_contain_text("it has main", timeout=SLOW_MS)
    page.get_by_label("Base branch", exact=True).fill("")
    page.get_by_label("Requirement", exact=True).fill(FIX)
    page.get_by_label("Template", exact=True).select_option("plain")
    expect(looked).to_contain_text("Work would start on main", timeout=SLOW_MS)
    expect(page.locator("[data-look-part=calls]")).to_contain_text("Subtract instead of adding.")
    page.get_by_role("button", name="Request it").click()
    top = page.locator("[data-part=top] .badge")
    expect(top).to_have_text("queued", timeout=SLOW_MS)
    live(page)
    page.evaluate("window.sameDocument = true")
    operation = Operation.objects.get()
    cluster.wake(operation)
    assert cluster.finish(operation).status == Operation.Status.SUCCEEDED
    expect(top).to_have_text("succeeded", timeout=SLOW_MS)
    expect(page.locator(".stage[data-state=done]")).to_have_count(9)
    expect(page.locator("[data-part=diff] .hl-keyword").first).to_have_text("def")
    assert page.evaluate("window.sameDocument") is True
    page.locator("[data-part=result]").get_by_role("link", name="#1 Subtract instead of adding.").click()
    expect(page.get_by_role("button", name="Merge into main")).to_be_visible()
    assert visitor.complaints == []


def test_after_the_web_process_was_killed_the_page_goes_on_and_no_line_is_lost_or_doubled(
    visitor: Visitor, web: WebProcess, operator: Any, project: Project
) -> None:
    operation, step = rows.running(operator, of=project, log="line 0\n")
    page, said_by_stage = visitor.page, StageLog()
    said_by_stage.say("line 0")
    visitor.go(address(operation))
    live(page)
    expect(page.locator("[data-live-figures]")).to_have_text(re.compile(r"ms · .* events/s"), timeout=SLOW_MS)
    web.kill()
    banner = page.locator("[data-live-banner]")
    expect(banner).to_contain_text(re.compile("trying again|asking every few seconds"), timeout=SLOW_MS)
    said = [f"note {number}" for number in range(5)]
    for number, reason in enumerate(said, start=1):
        with transaction.atomic():
            record("operation.note", load(operation.pk), actor="worker:node-1", reason=reason)
        said_by_stage.say(f"line {number}")
    step_logs.store(step.pk, said_by_stage.kept(), now=timezone.now())
    web.start()
    banner.get_by_role("button", name="Try now").click()
    live(page)
    expect(banner).to_be_hidden()
    events = page.locator("[data-part=events]")
    expect(events).to_contain_text(said[-1], timeout=SLOW_MS)
    shown = re.findall(r"note \d", events.inner_text())
    assert shown == said[::-1]
    log = page.locator("[data-log]")
    expect(log).to_contain_text("line 5", timeout=SLOW_MS)
    assert log.inner_text().strip().split("\n") == [f"line {number}" for number in range(6)]


def test_a_flood_of_log_lines_leaves_the_page_quick_and_small(
    visitor: Visitor, operator: Any, project: Project
) -> None:
    operation, step = rows.running(operator, of=project)
    page, log = visitor.page, StageLog()
    visitor.go(address(operation))
    live(page)
    page.evaluate("window.ticks = 0; setInterval(() => { window.ticks += 1; }, 20)")
    for second in range(3):  # ten thousand lines each, stored as the pulse of a stage stores them
        for number in range(10_000):
            log.say(f"\x1b[32mok\x1b[0m {second}-{number}")
        step_logs.store(step.pk, log.kept(), now=timezone.now())
        before = page.evaluate("window.ticks")
        expect(page.locator("[data-log]")).to_contain_text(f"ok {second}-9999", timeout=SLOW_MS)
        page.get_by_text("Change what it may spend").click()  # answers while it pours
        page.wait_for_function("before => window.ticks > before", arg=before)
    expect(page.get_by_label("Dollars it may spend in all")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-log]').textContent.length") <= 20_000
    assert visitor.complaints == []


def test_hostile_text_does_nothing_wherever_a_task_shows_it(visitor: Visitor, operator: Any, project: Project) -> None:
    diff = rows.DIFF.replace("fees.py", "<img src=x onerror=window.hacked=1>.py").replace("cents", rows.HOSTILE)
    products = {
        Stage.CODE: {"diff": {"text": diff, "truncated": False, "changes": []}},
        Stage.PLAN: {"summary": rows.HOSTILE, "steps": [{"title": rows.HOSTILE, "files": [rows.HOSTILE]}]},
    }
    failed = rows.failed(operator, of=project, requirements=rows.HOSTILE, log=rows.HOSTILE, products=products)
    planned = rows.planned(operator, of=project, summary=rows.HOSTILE)
    underway, step = rows.running(operator, of=project)
    Step.objects.filter(pk=step.pk).update(log=rows.HOSTILE)
    page = visitor.page
    for path in (address(failed), address(planned), address(planned, "plan"), address(underway)):
        visitor.go(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("window.hacked") is None, path
        assert page.locator("a[href^='javascript:'], img").count() == 0, path
        assert "\x1b" not in page.content(), path
    expect(page.locator("[data-log] .ansi-1")).to_have_text("red")
    assert visitor.complaints == []


def test_a_task_is_requested_and_cancelled_by_the_keyboard_alone(visitor: Visitor, project: Project) -> None:
    page = visitor.page
    visitor.go(reverse("admin:operations_operation_changelist"))
    focus(page, page.get_by_role("link", name="New task").first)
    page.keyboard.press("Enter")
    focus(page, page.get_by_label("Project", exact=True))
    page.keyboard.press("ArrowDown")
    focus(page, page.get_by_label("Requirement", exact=True))
    page.keyboard.type("Dredge the channel")
    focus(page, page.get_by_role("button", name="Request it"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Dredge the channel")
    focus(page, page.get_by_role("button", name="Cancel"))
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=top] .badge")).to_have_text("cancelled")
    assert Operation.objects.get().status == Operation.Status.CANCELLED


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_a_task_have_no_serious_barrier(visitor: Visitor, operator: Any, project: Project, theme: str) -> None:
    red = "".join(f"\x1b[{code}mcolour {code}\x1b[0m\n" for code in (*range(30, 38), 1, 2, 3, 7))
    failed = rows.failed(operator, of=project, log=red)
    planned = rows.planned(operator, of=project)
    page = visitor.page
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    for path in (
        address(failed), address(planned), address(planned, "plan"), reverse("admin:operations_operation_add"),
    ):  # fmt: skip
        visitor.go(path)
        assert accessible.serious(page) == [], path
    page.set_viewport_size({"width": 400, "height": 800})
    visitor.go(address(planned, "plan"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
