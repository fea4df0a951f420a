"""The console as an operator uses it, in a real browser against a real web process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from events.journal import record
from events.models import Event
from operations import queues
from operations.coding import vault
from operations.models import Operation, Project, PullRequest, Stage, Step
from operations.snapshots import snapshot
from operations.submit import load
from tests import factories
from tests.browser import rows
from tests.browser.conftest import Visitor
from tests.operations.coding.conftest import git

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]


@pytest.fixture
def project(operator: Any, data_directory: Path) -> Project:
    return rows.project(operator)


def address(obj: Any) -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


def moves_on(operation: Operation, *, stage: Stage, status: str = "running") -> None:
    """What the engine does when a stage is done, as far as the console can see it."""
    with transaction.atomic():
        row = load(operation.pk)
        done = row.stage
        row.stage, row.status, row.turn = stage, status, row.turn + 1
        row.save()
        Step.objects.create(
            operation=row, turn=row.turn, stage=done, attempt=1, claim=f"claim-{row.turn}", outcome=Step.Outcome.DONE,
            worker="worker:node-1", started_at=row.created_at, finished_at=row.created_at, log=f"{done} is done\n",
        )  # fmt: skip
        record("operation.stage_finished", row, actor="worker:node-1", finished=done, **snapshot(row))


def test_one_signs_in_by_the_form_and_out_again(visitor: Visitor, operator: Any) -> None:
    visitor.page.get_by_role("button", name="Log out").click()
    visitor.log_in(operator)
    expect(visitor.page.locator("#user-tools")).to_contain_text("ada")
    assert visitor.complaints == []


def test_a_failed_operation_is_found_on_the_harbour_and_retried(
    visitor: Visitor, operator: Any, project: Project
) -> None:
    operation = rows.failed(operator, of=project)
    visitor.go("/admin/")
    attention = visitor.page.locator("[data-part=attention]")
    expect(attention).to_contain_text("2 of 12 tests fail after the change")
    expect(attention).to_contain_text("Say what half a cent should become.")
    attention.get_by_role("link", name="harbour-fees: Round the fee to whole cents", exact=True).click()
    expect(visitor.page.locator("[data-part=top] .badge")).to_have_attribute("data-value", "failed")
    visitor.page.get_by_role("button", name="Retry").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("Goes on from test")
    expect(visitor.page.locator("[data-part=top] .badge")).to_have_text("queued")
    assert Operation.objects.get(pk=operation.pk).status == "queued"
    assert visitor.complaints == []


def test_a_project_is_made_by_the_form(visitor: Visitor) -> None:
    visitor.page.get_by_role("link", name="Add project").first.click()
    visitor.page.get_by_label("Name").fill("tide-table")
    visitor.page.get_by_label("Repository").fill("file:///etc")
    visitor.page.get_by_role("button", name="Add it").click()
    expect(visitor.page.locator(".field-errors")).to_be_visible()
    visitor.page.get_by_label("Repository").fill("https://example.org/tides.git")
    visitor.page.get_by_role("button", name="Add it").click()
    expect(visitor.page.locator("h1")).to_have_text("tide-table")
    assert Project.objects.get().repository_url == "https://example.org/tides.git"
    assert visitor.complaints == []


def test_a_pull_request_of_the_local_forge_is_merged(
    visitor: Visitor, operator: Any, repositories: Path, tmp_path: Path, data_directory: Path
) -> None:
    bare, clone = repositories / "fees.git", tmp_path / "clone"
    clone.mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "-b", "main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(clone))
    commits = []
    for text in ("int(cents)\n", "round(cents)\n"):
        (clone / "fees.py").write_text(text)
        git(clone, "add", "fees.py")
        git(clone, "commit", "--quiet", "-m", "Round")
        commits.append(git(clone, "rev-parse", "HEAD"))
    base, head = commits
    git(clone, "push", "--quiet", "origin", f"{base}:refs/heads/main", f"{head}:refs/heads/moorage/fees")
    project = rows.project(operator, repository_url=str(bare))
    store = vault.open_vault(root=data_directory / "vaults", project_id=project.pk)
    git(store.path, "fetch", "--quiet", str(bare), "+refs/heads/*:refs/test/*")
    proposed = rows.pull_request(rows.failed(operator, of=project), head=head, base=base)
    visitor.go(address(proposed))
    expect(visitor.page.locator(".d-added")).to_contain_text("round(cents)")
    visitor.page.get_by_role("button", name="Merge into main").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("Merged into main as")
    expect(visitor.page.locator(".state-line .badge")).to_have_text("merged")
    row = PullRequest.objects.get()
    assert git(bare, "rev-parse", "refs/heads/main") == row.merged_commit
    assert git(bare, "show", "refs/heads/main:fees.py") == "round(cents)"
    assert visitor.complaints == []


def test_a_page_follows_its_operation_without_a_reload(visitor: Visitor, operator: Any, project: Project) -> None:
    operation = rows.operation(operator, of=project)
    visitor.go(address(operation))
    expect(visitor.page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live")
    visitor.page.evaluate("window.sameDocument = true")
    moves_on(operation, stage=Stage.ANALYZE)
    expect(visitor.page.locator("[data-part=top] .badge")).to_have_text("running")
    analyzed = visitor.page.locator(".stage", has_text="Init")
    expect(analyzed).to_have_attribute("data-state", "done")
    expect(visitor.page.locator("[data-part=steps]")).to_contain_text("init is done")
    expect(visitor.page.locator("[data-part=events]")).to_contain_text("operation.stage_finished")
    assert visitor.page.evaluate("window.sameDocument") is True
    assert visitor.complaints == []


def test_an_answer_being_written_survives_a_refresh(visitor: Visitor, operator: Any, project: Project) -> None:
    operation = rows.asking(operator, of=project, kind="input_required", reason="Which currency?")
    visitor.go(address(operation))
    expect(visitor.page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live")
    visitor.page.get_by_label("Your answer").fill("Half a cent is")
    visitor.page.locator("h1").click()
    with transaction.atomic():
        record("operation.note", load(operation.pk), actor="worker:node-1", reason="still asking")
    expect(visitor.page.locator("[data-part=events]")).to_contain_text("operation.note")
    expect(visitor.page.get_by_label("Your answer")).to_have_value("Half a cent is")
    visitor.page.get_by_label("Your answer").fill("Half a cent is a cent")
    visitor.page.get_by_role("button", name="Answer").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("Answered")
    assert Operation.objects.get().answers == ["Half a cent is a cent"]


def test_the_keyboard_stays_where_it_is_when_a_part_changes(visitor: Visitor, operator: Any, project: Project) -> None:
    operation = rows.operation(operator, of=project)
    visitor.go(address(operation))
    expect(visitor.page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live")
    link = visitor.page.locator("[data-part=top] a").first
    link.focus()
    moves_on(operation, stage=Stage.ANALYZE)
    expect(visitor.page.locator("[data-part=top] .badge")).to_have_text("running")
    expect(visitor.page.locator("[data-part=steps]")).to_contain_text("init is done")
    expect(link).to_be_focused()


def test_a_list_and_the_harbour_follow_their_rows(visitor: Visitor, operator: Any, project: Project) -> None:
    operation = rows.operation(operator, of=project)
    for number, path in enumerate(("/admin/", reverse("admin:operations_operation_changelist"))):
        visitor.go(path)
        expect(visitor.page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live")
        visitor.page.evaluate("window.sameDocument = true")
        moves_on(operation, stage=[Stage.ANALYZE, Stage.PLAN][number], status=["running", "waiting"][number])
        badge = visitor.page.locator(f'[data-live-field="{operation.topic}.status"]').first
        expect(badge).to_have_text(["running", "waiting"][number])
        assert visitor.page.evaluate("window.sameDocument") is True


def test_a_new_operation_appears_on_the_harbour(visitor: Visitor, operator: Any, project: Project) -> None:
    visitor.go("/admin/")
    expect(visitor.page.locator("[data-live-status]")).to_have_attribute("data-live-status", "live")
    visitor.page.evaluate("window.sameDocument = true")
    rows.operation(operator, of=project, requirements="Dredge the channel")
    queues.publish(now=timezone.now())  # what the sweep does every few seconds
    expect(visitor.page.locator("[data-part=latest]")).to_contain_text("Dredge the channel")
    expect(visitor.page.locator("[data-part=queue]")).to_contain_text("waits for a worker to take it")
    assert visitor.page.evaluate("window.sameDocument") is True


def test_a_redis_away_is_said_on_the_harbour(visitor: Visitor, live_redis: Any) -> None:
    live_redis.kill()
    try:
        visitor.go("/admin/")
        expect(visitor.page.locator("[data-part=attention]")).to_contain_text("Start Redis")
    finally:
        live_redis.start()


def test_hostile_text_does_nothing_in_a_browser(visitor: Visitor, operator: Any, project: Project) -> None:
    operation = rows.failed(operator, of=project, requirements=rows.HOSTILE, log=rows.HOSTILE)
    Operation.objects.filter(pk=operation.pk).update(error={**rows.TESTS_FAILED, "detail": rows.HOSTILE})
    for path in (address(operation), "/admin/", reverse("admin:operations_operation_changelist")):
        visitor.go(path)
        assert visitor.page.evaluate("window.hacked") is None
    assert visitor.complaints == []


def test_no_page_breaks_the_content_policy_or_asks_another_host(
    visitor: Visitor, operator: Any, project: Project
) -> None:
    operation, agent, host = rows.failed(operator, of=project), factories.agent(), factories.host()
    proposed = rows.pull_request(operation, head="a" * 40, base="b" * 40)
    names = (
        "index", "records", "templates", "password_change", "operations_operation_add", "operations_project_add",
        "operations_operation_changelist", "operations_project_changelist", "operations_pullrequest_changelist",
        "agents_agent_changelist", "resources_host_changelist", "resources_lease_changelist", "events_event_changelist",
        "events_undelivered_changelist", "terminals_terminal_changelist", "auth_user_changelist", "auth_user_add",
        "access_apitoken_changelist", "access_apitoken_add",
    )  # fmt: skip
    pages = [reverse(f"admin:{name}") for name in names] + [reverse("admin:template", args=["python"])]
    pages += [address(obj) for obj in (operation, project, proposed, agent, host, Event.objects.latest("id"))]
    for path in pages:
        visitor.go(path)
        visitor.page.wait_for_load_state("load")
        assert visitor.complaints == [], path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_fit_a_narrow_screen(visitor: Visitor, operator: Any, project: Project, theme: str) -> None:
    operation, host = rows.failed(operator, of=project), factories.host()
    visitor.page.set_viewport_size({"width": 400, "height": 800})
    visitor.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    for path in (
        "/admin/",
        address(operation),
        address(host),
        address(project),
        reverse("admin:operations_operation_add"),
    ):
        visitor.go(path)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 400, path
        bottom = "document.querySelector('%s').getBoundingClientRect().bottom"
        assert visitor.page.evaluate(bottom % "#header") >= visitor.page.evaluate(bottom % ".rooms"), path


def test_the_keyboard_reaches_the_first_button_and_shows_where_it_is(
    visitor: Visitor, operator: Any, project: Project
) -> None:
    operation = rows.failed(operator, of=project)
    visitor.go(address(operation))
    for _ in range(40):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("document.activeElement.textContent") == "Retry":
            break
    assert visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".messagelist")).to_contain_text("Goes on")
