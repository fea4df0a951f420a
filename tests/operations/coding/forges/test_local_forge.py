"""The local forge: one pull request per head, whoever asks how often."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from operations.coding.forges.local_forge import LocalForge
from operations.coding.forges.protocol import OpenedPullRequest, PullRequestDraft
from operations.models import Operation, Project, PullRequest

DRAFT = PullRequestDraft(
    repository="team/app", head_branch="moorage/a", head_commit="1" * 40, base_branch="main", base_commit="2" * 40,
    title="Change", body="Why",
)  # fmt: skip


@pytest.fixture
def operation(transactional_db: None) -> Operation:
    user = get_user_model().objects.create_user("ada")
    now = timezone.now()
    project = Project.objects.create(name="p", repository_url="/x", owner=user, created_at=now)
    return Operation.objects.create(
        project=project, requirements="r", template="python", created_by=user, created_at=now
    )


def test_what_was_opened_is_adopted_the_next_time(operation: Operation) -> None:
    forge = LocalForge(operation)
    first, second = forge.open_or_adopt(DRAFT), forge.open_or_adopt(DRAFT)
    assert (first.adopted, second.adopted) == (False, True)
    assert first == replace(second, adopted=False)
    assert (first.number, first.state) == (1, "open")


def test_numbers_go_up_by_one_per_project(operation: Operation) -> None:
    forge = LocalForge(operation)
    numbers = [forge.open_or_adopt(replace(DRAFT, head_branch=f"moorage/{n}")).number for n in range(3)]
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("state", ["merged", "closed"])
def test_a_commit_that_was_decided_about_is_not_proposed_again(operation: Operation, state: str) -> None:
    forge = LocalForge(operation)
    forge.open_or_adopt(DRAFT)
    PullRequest.objects.update(state=state)
    again = forge.open_or_adopt(DRAFT)
    assert (again.adopted, again.state, again.number) == (True, state, 1)
    newer = forge.open_or_adopt(replace(DRAFT, head_commit="3" * 40))
    assert (newer.adopted, newer.number) == (False, 2)


def at_once(drafts: list[PullRequestDraft], operation: Operation) -> list[OpenedPullRequest]:
    start, opened = threading.Barrier(len(drafts)), []

    def go(draft: PullRequestDraft) -> None:
        start.wait(5)
        try:
            opened.append(LocalForge(operation).open_or_adopt(draft))
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(draft,)) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return opened


def test_two_at_once_with_one_head_make_one(operation: Operation) -> None:
    opened = at_once([DRAFT] * 4, operation)
    assert [o.number for o in opened] == [1] * 4
    assert sum(not o.adopted for o in opened) == 1


def test_many_at_once_with_a_head_each_get_a_number_each(operation: Operation) -> None:
    opened = at_once([replace(DRAFT, head_branch=f"moorage/{n}") for n in range(4)], operation)
    assert sorted(o.number for o in opened) == [1, 2, 3, 4]
