"""Delivered pull requests in the console and the API: what the forge said, and the rounds; hostile words stay words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from operations.models import Operation, Rework
from tests.browser import rows

pytestmark = pytest.mark.django_db

SEEN = {
    "state": "open", "head_commit": "a" * 40, "base_branch": "main", "conflicts": True, "merged_commit": "",
    "checks": [
        {"name": "<script>alert(1)</script>", "state": "failed", "url": "javascript:alert(1)", "summary": "1 failed",
         "source": "job:1"},
        {"name": "lint", "state": "passed", "url": "https://ci.example/1", "summary": "", "source": "run"},
    ],
    "comments": [
        {"id": "comment-1", "author": "mallory", "may_write": False, "body": "", "place": "", "created_at": "",
         "vetoes": False}
    ],
}  # fmt: skip


@pytest.fixture
def operation(admin_user: Any, data_directory: Path) -> Operation:
    made = rows.failed(admin_user, of=rows.project(admin_user))
    note = "Checks fail: lint, after 2 rounds."
    row = rows.pull_request(made, head="a" * 40, base="b" * 40, seen=SEEN, note=note)
    Rework.objects.create(
        pull_request=row, number=1, cause="checks", head_commit="a" * 40, base_commit="b" * 40, turn=9,
        fault={"detail": "1 checks failed: lint"}, created_at=timezone.now(),
    )  # fmt: skip
    return made


def test_the_operations_page_shows_checks_rounds_and_why_nothing_is_done(
    admin_client: Client, operation: Operation
) -> None:
    html = admin_client.get(reverse("admin:operations_operation_change", args=[operation.pk])).content.decode()
    for words in ("It conflicts with its base branch", "Checks fail: lint, after 2 rounds.", "1 checks failed: lint",
                  "1 comment by people who may not write", 'href="https://ci.example/1"'):  # fmt: skip
        assert words in html
    assert "<script>alert" not in html
    assert "javascript:" not in html


def test_the_api_tells_the_same(admin_client: Client, operation: Operation) -> None:
    (told,) = admin_client.get(f"/api/v1/operations/{operation.pk}/pull_requests/").json()
    assert (told["number"], told["state"], told["conflicts"], told["ignored"]) == (1, "open", True, 1)
    assert [check["state"] for check in told["checks"]] == ["failed", "passed"]
    assert [(one["number"], one["cause"]) for one in told["rounds"]] == [(1, "checks")]


def test_a_delivered_operation_whose_pull_request_needs_a_person_is_on_the_harbour(
    admin_client: Client, operation: Operation
) -> None:
    Operation.objects.filter(pk=operation.pk).update(
        status="succeeded", error=None,
        attention={"kind": "input_required", "reason": "Pull request #1: Checks fail", "since": None},
    )  # fmt: skip
    assert "Pull request #1: Checks fail" in admin_client.get(reverse("admin:index")).content.decode()
