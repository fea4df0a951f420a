"""What people get wrong: a typed fault with a code and a way on, nothing lost, nothing left held."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from events.faults import Fault
from operations import faults, policy, projects
from operations.models import Operation, Project
from operations.submit import LONGEST_REQUIREMENT
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import BREAK, CALC, FIX, PROJECT, TESTS, make

OF_THE_HOST = {"agents.place_waiting", "agents.inspect"}  # sent by its registration


def refused(inline: Inline, **fields: Any) -> Fault:
    """The fault of a request that must not be taken."""
    project = inline.project()
    with pytest.raises(Fault) as caught:
        inline.submit(project, **fields)
    assert Operation.objects.count() == 0
    assert [task for task, _ in inline.queued() if task not in OF_THE_HOST] == []
    return caught.value


@pytest.mark.parametrize("nothing", ["", "  \n\t "])
def test_an_empty_requirement_is_refused_at_its_field(inline: Inline, nothing: str) -> None:
    fault = refused(inline, requirements=nothing)
    assert (fault.code, fault.pointer, fault.http_status) == ("requirement.refused", "/requirements", 400)
    assert fault.remedy_text


def test_a_requirement_of_a_megabyte_is_refused_with_the_limit(inline: Inline) -> None:
    fault = refused(inline, requirements="x" * 1_000_000)
    assert fault.code == "requirement.refused"
    assert str(LONGEST_REQUIREMENT) in fault.detail
    assert fault.remedy_text


def test_an_unknown_engine_is_refused_by_name(inline: Inline) -> None:
    fault = refused(inline, engine="wizard")
    assert "wizard" in fault.detail
    assert fault.http_status < 500
    assert fault.remedy_text


def test_an_unknown_template_is_refused_by_name(inline: Inline) -> None:
    fault = refused(inline, template="no-such-template")
    assert "no-such-template" in fault.detail
    assert fault.remedy_text


def test_an_unknown_capability_is_refused_with_the_ones_there_are(inline: Inline) -> None:
    fault = refused(inline, capability="telepathy")
    assert fault.code == "agent.unknown_capability"
    assert "development" in fault.remedy_text


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=x/y", "ext::sh -c id", "file:///etc", "../somewhere", "https://127.0.0.1/x.git",
        "http://169.254.169.254/latest", "https://user:secret@example.org/x.git", "", "/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_allowed_makes_no_project(inline: Inline, url: str) -> None:
    with pytest.raises(Fault) as caught:
        projects.create(by=inline.user, name="bad", repository_url=url, default_template="plain")
    assert caught.value.http_status < 500
    assert "secret" not in caught.value.detail
    assert Project.objects.count() == 0


def test_a_repository_that_went_away_fails_with_a_way_on(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    project = inline.project(remote)
    remote.path.rename(inline.roots / "elsewhere.git")
    operation = inline.run_pauses(inline.submit(project))
    assert_failed(operation, stage="analyze")
    assert operation.error["code"] == "repository.refused"


def test_a_base_branch_that_is_not_there_is_named_with_those_that_are(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.run_pauses(inline.submit(inline.project(remote, base_branch="release")))
    assert_failed(operation, stage="analyze")
    assert operation.error["code"] == "git.branch_not_found"
    assert "main" in operation.error["detail"]


def test_a_branch_name_that_is_none_makes_no_project(inline: Inline) -> None:
    with pytest.raises(faults.RequirementRefused):
        inline.project(base_branch="--upload-pack=x")


def test_an_empty_repository_is_told_from_a_missing_one(inline: Inline) -> None:
    operation = inline.run_pauses(inline.submit(inline.project(make(inline.roots / "empty.git"))))
    assert_failed(operation, stage="analyze")
    assert operation.error["code"] == "git.repository_empty"


def test_a_repository_without_tests_is_not_worked_on(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", {"calc.py": CALC})
    operation = inline.run_pauses(inline.submit(inline.project(remote)))
    assert_failed(operation, stage="analyze")
    assert operation.error["code"] == "tests.not_found"


def test_a_patch_that_does_not_fit_fails_once_with_the_original_fault(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", {**PROJECT, "calc.py": CALC.replace("return a + b", "return (a + b)")})
    operation = inline.run_pauses(inline.submit(inline.project(remote)))
    assert_failed(operation, stage=operation.stage)
    assert operation.error["code"] == "edit.refused"
    assert operation.retry_count == 0


def test_a_patch_that_breaks_tests_is_not_committed_and_says_which(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.run_pauses(inline.submit(inline.project(remote), requirements=BREAK))
    assert_failed(operation, stage="test")
    assert operation.error["code"] == "tests.failed"
    assert "test_add" in operation.error["detail"]
    assert list(remote.branches()) == ["main"]
    assert not operation.evidence.get(kind="tests.run").passed


def test_tests_that_already_failed_are_no_reason_to_refuse_a_change(inline: Inline) -> None:
    more = TESTS + "\n\ndef test_other():\n    assert add(1, 1) == 3\n"
    remote = make(inline.roots / "r.git", {**PROJECT, "test_calc.py": more})
    operation = inline.finish(inline.submit(inline.project(remote)))
    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["after"] == {"passed": 2, "failed": 1, "errors": 0, "skipped": 0}


def test_sixty_old_failures_are_no_reason_either(inline: Inline) -> None:
    more = (
        "import pytest\n" + TESTS + "\n\n@pytest.mark.parametrize('n', range(60))\ndef test_old(n):\n    assert n < 0\n"
    )
    remote = make(inline.roots / "r.git", {**PROJECT, "test_calc.py": more})
    operation = inline.finish(inline.submit(inline.project(remote)))
    assert operation.status == "succeeded", operation.error


def test_the_same_key_and_request_is_the_same_operation_however_often_it_comes(inline: Inline) -> None:
    project = inline.project()
    found: list[Any] = []
    start = threading.Barrier(4)

    def ask() -> None:
        try:
            start.wait(5)
            found.append(inline.submit(project, idempotency_key="k1").pk)
        except Exception as error:  # noqa: BLE001 - it is looked at below
            found.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found)) == 1, found
    assert Operation.objects.count() == 1


def test_the_same_key_with_another_request_is_a_conflict(inline: Inline) -> None:
    project = inline.project()
    first = inline.submit(project, idempotency_key="k1")
    others: tuple[dict[str, Any], ...] = (
        {"requirements": FIX + "\nMore."}, {"engine": "repair"}, {"approval": "plan"}, {"size": {"memory_mb": 1024}},
    )  # fmt: skip
    for other in others:
        with pytest.raises(faults.IdempotencyConflict):
            inline.submit(project, idempotency_key="k1", **other)
    assert inline.finish(first).status == "succeeded"
    assert Operation.objects.count() == 1


def test_what_does_not_exist_is_not_found_and_neither_is_what_is_somebody_elses(inline: Inline) -> None:
    from django.contrib.auth import get_user_model

    operation = inline.submit()
    stranger = get_user_model().objects.create_user("eve")
    for user, wanted in ((inline.user, uuid4()), (inline.user, "no-id"), (stranger, operation.pk)):
        with pytest.raises(faults.OperationNotFound):
            policy.operation(user, wanted)
    with pytest.raises(faults.ProjectNotFound):
        policy.project(stranger, operation.project_id)


def test_a_template_that_went_away_since_the_request_is_a_fault_like_any_other(inline: Inline, settings: Any) -> None:
    operation = inline.submit()
    (settings.DATA / "templates" / "plain.yaml").unlink()
    operation = inline.run_pauses(operation)
    assert_failed(operation, stage="init")
    assert operation.error["code"].startswith("template.")
    assert stages(operation) == [("init", "fault")]


def test_a_project_with_work_under_way_is_not_archived(inline: Inline) -> None:
    operation = inline.submit()
    with pytest.raises(faults.ProjectBusy):
        projects.archive(by=inline.user, project_id=operation.project_id)
    inline.finish(operation)
    projects.archive(by=inline.user, project_id=operation.project_id)
    with pytest.raises(faults.ProjectNotFound):
        policy.project(inline.user, operation.project_id)


def test_two_projects_of_one_user_do_not_share_a_name(inline: Inline) -> None:
    inline.project(name="same")
    with pytest.raises(faults.ProjectExists):
        inline.project(name="same")


def assert_failed(operation: Operation, *, stage: str) -> None:
    assert (operation.status, operation.stage) == ("failed", stage), operation.error
    assert operation.error["remedy"], operation.error
    assert operation.error["detail"]
    assert left_held() == []
