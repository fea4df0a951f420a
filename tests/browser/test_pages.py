"""The console by Django's client: who may, by what method, and that hostile text stays text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents.models import Agent
from events.models import Event
from operations.models import Operation, Project, PullRequest
from resources.models import Host
from tests import factories
from tests.browser import rows

pytestmark = pytest.mark.django_db

LISTS = (
    "operations_operation", "operations_project", "operations_pullrequest", "agents_agent", "resources_host",
    "resources_lease", "events_event", "events_undelivered", "terminals_terminal", "terminals_sessionhost",
)  # fmt: skip


@pytest.fixture
def project(admin_user: Any, data_directory: Path) -> Project:
    return rows.project(admin_user)


def page(obj: Any) -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=[obj.pk])


def do(obj: Any, verb: str) -> str:
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_do", args=[obj.pk, verb])


def said(answer: Any) -> str:
    """The page's text behind any redirects, as people read it."""
    return re.sub(r"<[^>]+>", " ", answer.content.decode())


def every_page(project: Project, by: Any) -> list[str]:
    operation, agent, host = rows.failed(by, of=project), factories.agent(), factories.host()
    proposed = rows.pull_request(operation, head="a" * 40, base="b" * 40)
    changing = [page(obj) for obj in (operation, project, proposed, agent, host, Event.objects.latest("id"))]
    plain = [reverse(f"admin:{name}") for name in ("index", "harbour_parts", "records", "templates", "fleet")]
    forms = [reverse("admin:operations_operation_add"), reverse("admin:operations_project_add")]
    parts = [reverse(f"admin:{name}_parts", args=[row.pk]) for name, row in
             (("operations_operation", operation), ("agents_agent", agent), ("resources_host", host))]  # fmt: skip
    lists = [reverse(f"admin:{name}_changelist") for name in LISTS]
    edit = reverse("admin:operations_project_edit", args=[project.pk])
    return [*changing, *plain, *forms, *parts, *lists, edit, reverse("admin:template", args=["python"])]


def test_every_page_answers_staff_and_refuses_everyone_else(
    admin_client: Client, admin_user: Any, project: Project, django_user_model: Any
) -> None:
    addresses = every_page(project, admin_user)
    stranger = Client()
    stranger.force_login(django_user_model.objects.create_user("mallory"))
    for address in addresses:
        assert admin_client.get(address).status_code == 200, address
        for refused in (stranger.get(address), Client().get(address)):
            assert refused.status_code == 302, address
            assert refused["Location"].startswith(reverse("admin:login")), address


def test_staff_without_any_right_on_rows_sees_what_the_api_shows_staff(
    client: Client, project: Project, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("clerk", is_staff=True))
    assert client.get(page(project)).status_code == 200
    assert client.get(reverse("admin:auth_user_changelist")).status_code == 403


def test_looking_at_every_page_changes_nothing(admin_client: Client, admin_user: Any, project: Project) -> None:
    addresses = every_page(project, admin_user)
    before = (Event.objects.count(), list(Operation.objects.values()), list(Agent.objects.values()))
    for address in addresses:
        admin_client.get(address)
    assert before == (Event.objects.count(), list(Operation.objects.values()), list(Agent.objects.values()))


@pytest.mark.parametrize("verb", ["cancel", "retry", "approve", "answer", "refuse"])
def test_a_verb_is_refused_by_get(admin_client: Client, admin_user: Any, project: Project, verb: str) -> None:
    operation = rows.failed(admin_user, of=project)
    assert admin_client.get(do(operation, verb)).status_code == 405
    assert Operation.objects.get(pk=operation.pk).turn == operation.turn


def test_a_post_without_the_token_is_refused(admin_user: Any, project: Project) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    operation, host = rows.failed(admin_user, of=project), factories.host()
    for address in (
        do(operation, "retry"),
        do(host, "drain"),
        do(project, "archive"),
        reverse("admin:operations_project_add"),
    ):
        assert careful.post(address).status_code == 403, address
    assert Operation.objects.get(pk=operation.pk).status == "failed"
    assert Host.objects.get().draining_since is None


def test_somebody_who_is_no_staff_cannot_post_a_verb(
    client: Client, admin_user: Any, project: Project, django_user_model: Any
) -> None:
    operation = rows.failed(admin_user, of=project)
    client.force_login(django_user_model.objects.create_user("mallory"))
    assert client.post(do(operation, "retry")).status_code == 302
    assert Operation.objects.get(pk=operation.pk).status == "failed"


def test_an_unknown_verb_does_not_exist(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    for verb in ("page_context", "delete", "has_add_permission"):
        assert admin_client.post(do(operation, verb)).status_code == 404


def test_a_posted_state_is_refused(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation, agent = rows.failed(admin_user, of=project), factories.agent()
    assert admin_client.post(page(operation), {"status": "succeeded"}).status_code == 403
    assert admin_client.post(page(agent), {"state": "running"}).status_code == 403
    assert Operation.objects.get(pk=operation.pk).status == "failed"
    assert Agent.objects.get(pk=agent.pk).state == "spawning"


def test_no_row_that_a_verb_owns_can_be_deleted(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    delete = reverse("admin:operations_operation_delete", args=[operation.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    listing = reverse("admin:operations_operation_changelist")
    admin_client.post(listing, {"action": "delete_selected", "_selected_action": [operation.pk], "post": "yes"})
    assert Operation.objects.filter(pk=operation.pk).exists()


def test_a_failed_operation_is_retried_by_one_post(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    answer = admin_client.post(do(operation, "retry"), follow=True)
    assert "Goes on from the stage that failed" in said(answer)
    again = Operation.objects.get(pk=operation.pk)
    assert (again.status, again.resume_at, again.retry_count) == ("queued", "test", 1)
    assert Event.objects.filter(topic=operation.topic, kind="operation.retried", actor="user:admin").count() == 1


def test_a_fault_is_shown_with_its_remedy(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    text = said(admin_client.post(do(operation, "cancel"), follow=True))
    assert "The operation has failed already." in text
    assert "Only operations that have not ended are cancelled." in text


def test_approval_and_answer_let_an_operation_go_on(admin_client: Client, admin_user: Any, project: Project) -> None:
    plan = rows.asking(admin_user, of=project)
    admin_client.post(do(plan, "approve"))
    assert Operation.objects.get(pk=plan.pk).status == "running"
    question = rows.asking(admin_user, of=project, kind="input_required", reason="Which currency?")
    assert "Which currency?" in said(admin_client.get(page(question)))
    admin_client.post(do(question, "answer"), {"text": "euro"})
    assert Operation.objects.get(pk=question.pk).answers == ["euro"]


def test_what_an_agent_program_asks_is_refused_with_words_whatever_they_are(
    admin_client: Client, admin_user: Any, project: Project
) -> None:
    plan = rows.asking(admin_user, of=project)
    assert "Or say why not" not in said(admin_client.get(page(plan)))
    admin_client.post(do(plan, "refuse"), {"text": "No."})
    assert Operation.objects.get(pk=plan.pk).status == "waiting"  # a plan is changed, not refused

    asked = rows.asking_permission(admin_user, of=project)
    text = said(admin_client.get(page(asked)))
    assert "Or say why not" in text
    assert "goes on and may do this" in text
    assert "Change the plan" not in text
    admin_client.post(do(asked, "refuse"), {"text": "  "})
    assert Operation.objects.get(pk=asked.pk).status == "waiting"
    admin_client.post(do(asked, "refuse"), {"text": "Yes"})
    asked.refresh_from_db()
    assert (asked.status, asked.answers) == ("running", ["Yes"])
    assert asked.steps.get(action="ask_permission").product == {"allowed": False, "said": "Yes"}


def test_a_bulk_action_asks_first_and_tells_the_result_of_each(
    admin_client: Client, admin_user: Any, project: Project
) -> None:
    waiting = rows.operation(admin_user, of=project, requirements="Dredge the channel")
    over = rows.failed(admin_user, of=project, requirements="Paint the buoys")
    listing = reverse("admin:operations_operation_changelist")
    chosen = {"action": "cancel_selected", "_selected_action": [waiting.pk, over.pk]}
    seen = said(admin_client.post(listing, chosen))
    assert re.search(r"Dredge the channel\s+yes\s+stops at Init; its place in the line is given up", seen)
    assert re.search(r"Paint the buoys\s+refused\s+The operation has failed already", seen)
    assert Operation.objects.get(pk=waiting.pk).status == "queued"
    text = said(admin_client.post(listing, {**chosen, "confirmed": "cancel"}))
    assert re.search(r"Dredge the channel\s+done\s+Cancelled\.", text)
    assert re.search(r"Paint the buoys\s+refused\s+The operation has failed already\.", text)


def test_agents_are_stopped_and_hosts_drained(admin_client: Client) -> None:
    agent, host = factories.agent(), factories.host()
    admin_client.post(do(agent, "stop"))
    assert Agent.objects.get(pk=agent.pk).state == "stopping"
    assert "is not possible" in said(admin_client.post(do(agent, "retry"), follow=True))
    admin_client.post(do(host, "drain"))
    assert Host.objects.get().draining_since is not None
    admin_client.post(do(host, "undrain"))
    assert Host.objects.get().draining_since is None


def test_a_project_is_made_changed_and_archived_by_its_verbs(admin_client: Client, data_directory: Path) -> None:
    form = {
        "name": "fees",
        "repository_url": "https://example.org/fees.git",
        "base_branch": "",
        "default_template": "python",
    }
    admin_client.post(reverse("admin:operations_project_add"), form)
    made = Project.objects.get()
    edit = reverse("admin:operations_project_edit", args=[made.pk])
    admin_client.post(edit, {**form, "base_branch": "trunk"})
    assert Project.objects.get().base_branch == "trunk"
    admin_client.post(do(made, "archive"))
    assert Project.objects.get().archived_at is not None
    kinds = ["project.created", "project.changed", "project.archived"]
    assert list(Event.objects.filter(topic=made.topic).order_by("seq").values_list("kind", flat=True)) == kinds


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"repository_url": "file:///etc"}, "repository"),
        ({"name": ""}, "required"),
        ({"base_branch": "../x"}, "cannot be the name of a branch"),
        ({"default_template": "nonesuch"}, "not one of the available choices"),
    ],
)
def test_a_refused_project_says_why_at_the_form(
    admin_client: Client, data_directory: Path, changed: dict[str, str], words: str
) -> None:
    form = {"name": "fees", "repository_url": "https://example.org/fees.git", "default_template": "python", **changed}
    answer = admin_client.post(reverse("admin:operations_project_add"), form)
    assert answer.status_code == 200
    errors = " ".join(re.findall(r'<ul class="errorlist[^>]*>.*?</ul>', answer.content.decode(), re.S))
    assert words in errors.lower() or words in errors
    assert not Project.objects.exists()


def test_work_is_requested_from_the_console(admin_client: Client, project: Project) -> None:
    form = {
        "project": project.pk,
        "requirements": "Dredge the channel",
        "engine": "auto",
        "approval": "plan",
        "priority": "2",
    }
    admin_client.post(reverse("admin:operations_operation_add"), form)
    operation = Operation.objects.get()
    assert (operation.priority, operation.approval, operation.template) == (2, "plan", "python")
    refused = admin_client.post(reverse("admin:operations_operation_add"), {**form, "requirements": " \n"})
    assert "The requirement is empty" in said(refused)
    assert Operation.objects.count() == 1


def test_hostile_text_stays_text_on_every_page(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project, requirements=rows.HOSTILE, log=rows.HOSTILE)
    Operation.objects.filter(pk=operation.pk).update(
        error={**rows.TESTS_FAILED, "detail": rows.HOSTILE, "remedy": rows.HOSTILE},
        result={"pull_request": {"url": "javascript:window.hacked=1", "number": 1, "title": rows.HOSTILE}},
    )
    proposed = rows.pull_request(operation, head="a" * 40, base="b" * 40, title=rows.HOSTILE[:200], body=rows.HOSTILE)
    for address in (page(operation), page(proposed), page(project), reverse("admin:index"),
                    reverse("admin:operations_operation_changelist")):  # fmt: skip
        html = admin_client.get(address).content.decode()
        assert "<script>window" not in html, address
        assert "<img src=x" not in html, address
        assert 'href="javascript:' not in html, address
        assert "\x1b" not in html, address
        assert "\u202e" not in html, address
    assert "⟨U+202E⟩" in admin_client.get(page(operation)).content.decode()


def test_no_page_has_inline_script_or_style(admin_client: Client, admin_user: Any, project: Project) -> None:
    for address in every_page(project, admin_user):
        html = admin_client.get(address).content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html), address
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html), address


def test_a_merge_of_a_forge_elsewhere_is_refused(admin_client: Client, admin_user: Any, project: Project) -> None:
    operation = rows.failed(admin_user, of=project)
    proposed = rows.pull_request(operation, head="a" * 40, base="b" * 40)
    PullRequest.objects.update(forge="github")
    assert "at forge github" in said(admin_client.post(do(proposed, "merge"), follow=True))
    assert "Merge into" not in said(admin_client.get(page(proposed)))


def test_the_harbour_takes_fewer_than_twelve_queries_however_much_there_is(
    admin_client: Client, admin_user: Any, project: Project, django_assert_max_num_queries: Any
) -> None:
    for number in range(6):
        factories.host(f"node-{number}")
        factories.placed()
        rows.failed(admin_user, of=project)
        rows.asking(admin_user, of=project)
        rows.operation(admin_user, of=project)
    Agent.objects.update(state_since=timezone.now())
    with django_assert_max_num_queries(11):
        html = admin_client.get(reverse("admin:index")).content.decode()
    assert html.count('aria-label="Retry: ') == 6
    assert html.count('aria-label="Approve: ') == 6


def test_an_empty_harbour_says_what_to_do(admin_client: Client, data_directory: Path) -> None:
    text = said(admin_client.get(reverse("admin:index")))
    assert "Add a project" in text
    assert "no worker has registered a host" in text
    assert "make up" in text
