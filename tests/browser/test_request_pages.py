"""The request for work, the plan and the logs by Django's client: as a browser without scripts uses them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from operations.models import Operation, Project, Stage, Step
from tests.browser import rows
from tests.flows.repositories import FIX, PROJECT, Remote, make

pytestmark = pytest.mark.django_db
ADD = "/admin/operations/operation/add/"
HOW = {"engine": "auto", "approval": "none", "priority": "1"}


@pytest.fixture
def project(admin_user: Any, data_directory: Path) -> Project:
    return rows.project(admin_user)


@pytest.fixture
def remote(settings: Any, tmp_path: Path, data_directory: Path) -> Remote:
    settings.REPOSITORY_ROOTS = [tmp_path]
    return make(tmp_path / "calc.git", PROJECT)


def page(operation: Operation, part: str = "change/") -> str:
    return f"/admin/operations/operation/{operation.pk}/{part}"


def said(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def errors_at(answer: Any) -> set[str]:
    """The fields that say something is wrong with them."""
    return {field.name for field in answer.context["form"] if field.errors}


def test_the_repository_is_looked_at_and_the_same_call_is_shown(admin_client: Client, remote: Remote) -> None:
    form = {**HOW, "repository_url": str(remote.path), "requirements": "it's $HOME\nREQUIREMENT\n", "do": "look"}
    answer = admin_client.post(ADD, {**form, "approval": "plan", "name": "calc"})
    text = said(answer)
    assert "answers" in text
    assert f"Work would start on main at {remote.git('rev-parse', 'main')[:12]}" in text
    calls = answer.context["calls"]
    assert calls.command.splitlines() == [
        f"moorage project create calc {remote.path}",
        "moorage run --project calc --approval plan --file - <<'REQUIREMENT_'", "it's $HOME", "REQUIREMENT",
        "REQUIREMENT_",
    ]  # fmt: skip
    assert '"requirements": "it\'s $HOME\\nREQUIREMENT\\n"' in calls.curl
    assert "$MOORAGE_TOKEN" in calls.curl
    assert calls.curl.startswith("project=$(curl"), "there is none yet: its id comes from making it"
    assert f'"repository_url": "{remote.path}"' in calls.curl
    assert not Project.objects.exists()
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"base_branch": "trunk"}, "it has main"), ({"repository_url": "/etc"}, "MOORAGE_REPOSITORY_ROOTS"),
     ({"repository_url": "https://ada:sesame@127.0.0.1/x.git"}, "carries credentials")],
)  # fmt: skip
def test_what_is_wrong_with_a_repository_is_said_before_anything_is_made(
    admin_client: Client, remote: Remote, changed: dict[str, str], words: str
) -> None:
    form = {**HOW, "repository_url": str(remote.path), "requirements": FIX, "do": "look", **changed}
    looked = admin_client.post(reverse("admin:operations_operation_look"), {**form, "remote": "1"})
    assert "not usable now" in said(looked)
    assert words in said(looked)
    assert "sesame" not in looked.content.decode()


def test_a_repository_that_is_new_becomes_a_project_and_the_request_is_made_once(
    admin_client: Client, remote: Remote
) -> None:
    form = {**HOW, "repository_url": str(remote.path), "requirements": FIX, "key": "once", "do": "request"}
    made = admin_client.post(ADD, form)
    operation, project = Operation.objects.get(), Project.objects.get()
    assert made["Location"] == page(operation)
    assert (project.name, project.repository_url, operation.requirements) == ("calc", str(remote.path), FIX)
    again = admin_client.post(ADD, {**HOW, "project": project.pk, "requirements": FIX, "key": "once"})
    assert again["Location"] == page(operation)
    assert Operation.objects.count() == 1


def test_what_is_refused_is_said_at_its_field_and_what_was_typed_stays(admin_client: Client, remote: Remote) -> None:
    nowhere = admin_client.post(ADD, {**HOW, "requirements": "Paint it."})
    assert errors_at(nowhere) == {"repository_url"}
    assert "Paint it." in nowhere.content.decode()
    refused = admin_client.post(ADD, {**HOW, "requirements": "x", "repository_url": "file:///etc"})
    assert errors_at(refused) == {"repository_url"}
    empty = admin_client.post(ADD, {**HOW, "requirements": " ", "repository_url": str(remote.path)})
    assert errors_at(empty) == {"requirements"}
    kept = re.search(r'<option value="([0-9a-f-]+)" selected>', empty.content.decode())
    assert kept is not None
    assert Project.objects.get(pk=kept[1]).name == "calc"
    bad = admin_client.post(ADD, {**HOW, "project": "no-such", "engine": "magic", "requirements": "x"})
    assert errors_at(bad) == {"project", "engine"}
    assert not Operation.objects.exists()


def test_a_size_is_chosen_as_far_as_the_template_grants_it(admin_client: Client, project: Project) -> None:
    form = {**HOW, "project": project.pk, "requirements": "Paint it.", "memory_mb": "2048", "disk_mb": "1024"}
    looked = admin_client.post(ADD, {**form, "do": "look"})
    words = (
        "python: 2,048 MB of memory, 0.5 cores, 1,024 MB of disk, one slot. You may choose 768 to 4,096 MB of memory"
    )
    assert words in said(looked)
    calls = looked.context["calls"]
    assert f"--project {project.pk} --memory-mb 2048 --disk-mb 1024 --file" in calls.command
    assert json.loads(calls.curl.partition("<<'JSON'\n")[2].removesuffix("JSON"))["size"] == {
        "memory_mb": 2048, "disk_mb": 1024,
    }  # fmt: skip
    admin_client.post(ADD, form)
    assert Operation.objects.get().size == {"memory_mb": 2048, "disk_mb": 1024}
    for field, value in (("memory_mb", "9000"), ("disk_mb", "100"), ("cpu_millis", "0"), ("cpu_millis", "many")):
        assert errors_at(admin_client.post(ADD, {**form, field: value})) == {field}
    assert (
        "it lets nobody choose"
        in said(admin_client.post(ADD, {**HOW, "template": "lightweight", "do": "look"})).lower()
    )
    assert Operation.objects.count() == 1


def test_a_long_requirement_is_called_by_file(admin_client: Client, project: Project) -> None:
    answer = admin_client.post(ADD, {**HOW, "project": project.pk, "requirements": "x" * 9000, "do": "look"})
    calls = answer.context["calls"]
    assert calls.command == f"moorage run --project {project.pk} --file requirement.md"
    assert len(calls.curl) < 600


def plan_of(operation: Operation) -> dict[str, Any]:
    return Step.objects.get(operation=operation, stage=Stage.PLAN).product


def form_of(client: Client, operation: Operation) -> dict[str, str]:
    """The plan's form as the page has it."""
    context = client.get(page(operation, "plan/")).context
    fields = [
        *context["form"],
        *context["steps"].management_form,
        *(field for one in context["steps"] for field in one),
    ]
    return {field.html_name: field.value() if field.value() is not None else "" for field in fields}


def test_a_plan_is_changed_and_approved_as_a_form(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.planned(admin_user, of=project)
    form = form_of(admin_client, operation)
    form |= {"step-0-title": "Change the fees", "step-0-paths": "fees.py\n\n tests/test_fees.py ",
             "step-1-title": "Say so", "step-1-detail": "In the README.", "step-1-after": "1"}  # fmt: skip
    admin_client.post(page(operation, "plan/"), {**form, "summary": "Round half down.", "then": "wait"})
    assert plan_of(operation)["summary"] == "Round half down."
    assert plan_of(operation)["steps"] == [
        {"title": "Change the fees", "files": ["fees.py", "tests/test_fees.py"], "detail": "", "after": []},
        {"title": "Say so", "files": [], "detail": "In the README.", "after": [1]},
    ]
    assert "as changed by admin" in said(admin_client.get(page(operation)))
    stale = admin_client.post(page(operation, "plan/"), {**form, "then": "approve"})
    assert "Somebody changed the plan" in said(stale)
    admin_client.post(page(operation, "plan/"), {**form_of(admin_client, operation), "then": "approve"})
    operation.refresh_from_db()
    assert (operation.status, operation.attention) == ("running", None)
    late = admin_client.post(page(operation, "plan/"), form, follow=True)
    assert "does not wait for approval any more" in said(late)


def test_numbers_of_needed_steps_follow_when_a_step_is_left_out(
    admin_client: Client, admin_user: Any, project: Project
) -> None:
    operation = rows.planned(admin_user, of=project)
    steps = {"step-TOTAL_FORMS": "4", "step-0-title": "", "step-0-paths": "", "step-0-detail": ""}
    steps |= {"step-1-title": "One", "step-2-title": "Two", "step-3-title": "Three"}
    needs = {"step-2-after": "1, 2", "step-3-after": "3 2"}  # the first of all four is left out
    admin_client.post(page(operation, "plan/"), {**form_of(admin_client, operation), **steps, **needs})
    assert [step["after"] for step in plan_of(operation)["steps"]] == [[], [1], [1, 2]]
    assert "after 1, 2" in said(admin_client.get(page(operation)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"step-0-after": "the first"}, "Numbers of earlier steps"), ({"summary": ""}, "required"),
     ({"step-0-title": "", "step-0-paths": ""}, "at least one step"),
     ({"step-0-title": "", "step-0-detail": "x"}, "Say in a few words"), ({"step-0-paths": "x" * 501}, "At most 50"),
     ({"step-TOTAL_FORMS": "31"}, "30")],
)  # fmt: skip
def test_a_plan_that_is_none_is_refused_at_its_field(
    admin_client: Client, admin_user: Any, project: Project, changed: dict[str, str], words: str
) -> None:
    operation = rows.planned(admin_user, of=project)
    before = plan_of(operation)
    answer = admin_client.post(page(operation, "plan/"), {**form_of(admin_client, operation), **changed})
    assert words in said(answer)
    assert plan_of(operation) == before


def test_logs_have_colours_on_the_page_and_are_whole_and_harmless_as_files(
    admin_client: Client, admin_user: Any, project: Project
) -> None:
    whole = "".join(f"line {number}\n" for number in range(5000)) + "\x1b[31mFAILED\x1b[0m \x1b]52;c;aGk=\x07\n"
    operation = rows.failed(admin_user, of=project, log=whole)
    html = admin_client.get(page(operation)).content.decode()
    assert '<span class="ansi-1">FAILED</span>' in html
    assert "line 4999" in html
    assert "line 10\n" not in html
    step = operation.steps.get(stage=Stage.TEST)
    answer = admin_client.get(page(operation, f"log/{step.pk}.txt"))
    assert answer["Content-Disposition"] == 'attachment; filename="test-1.txt"'
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode() == whole.replace("\x1b[31m", "").replace("\x1b[0m", "").replace(
        "\x1b]52;c;aGk=\x07", ""
    )
    everything = b"".join(admin_client.get(page(operation, "log.txt"))).decode()
    assert everything.count("line 4999\n") == 5
    assert "==== Test, attempt 1: fault, from " in everything


def test_where_nothing_is_pushed_the_end_of_a_log_is_asked_for(
    admin_client: Client, admin_user: Any, project: Project
) -> None:
    operation, step = rows.running(admin_user, of=project, log="one\n")
    path = page(operation, f"log/{step.pk}/")
    first = admin_client.get(path)
    assert (first.content, first["X-Moorage-Live"]) == (b"one\n", "1")
    assert first["X-Moorage-Cursor"] == "4"
    Step.objects.filter(pk=step.pk).update(log="one\ntwo\n", log_said=8, outcome=Step.Outcome.DONE)
    then = admin_client.get(path)
    assert (then.content, then["X-Moorage-Live"], then["X-Moorage-Cursor"]) == (b"one\ntwo\n", "0", "8")
    other = rows.failed(admin_user, of=project)
    assert admin_client.get(page(other, f"log/{step.pk}/")).status_code == 404
    assert admin_client.get(page(other, f"log/{step.pk}.txt")).status_code == 404


def test_a_retry_begins_at_the_stage_that_is_chosen(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    retry = page(operation, "do/retry/")
    assert re.findall(r'<option value="(\w+)"', admin_client.get(page(operation)).content.decode()) == [
        "test", "code", "plan", "analyze", "init",
    ]  # fmt: skip
    for stage in ("commit", "nonesuch"):
        assert "it came to test" in said(admin_client.post(retry, {"stage": stage}, follow=True))
    admin_client.post(retry, {"stage": "plan"})
    operation.refresh_from_db()
    assert (operation.status, operation.stage, operation.resume_at) == ("queued", "init", "plan")


def test_each_button_says_what_it_would_do(admin_client: Client, admin_user: Any, project: Project) -> None:
    for operation, verbs in ((rows.failed(admin_user, of=project), {"retry"}),
                             (rows.planned(admin_user, of=project), {"cancel", "approve", "budget"})):  # fmt: skip
        html = admin_client.get(page(operation)).content.decode()
        for verb in verbs:
            assert f'aria-describedby="{verb}-impact"' in html
            assert f'id="{verb}-impact"' in html
