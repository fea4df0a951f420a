"""A delivered operation that needs a person, in a real browser: why, and each way on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from operations.models import Operation, PullRequest
from tests.browser import rows
from tests.browser.accessible import serious
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]

WHY = "Pull request #1: Checks fail: lint, after 2 rounds."


def test_a_person_who_is_asked_reads_why_and_has_another_round_with_words(
    visitor: Visitor, operator: Any, data_directory: Path
) -> None:
    operation = rows.failed(operator, of=rows.project(operator))
    rows.pull_request(operation, head="a" * 40, base="b" * 40, note="Checks fail: lint, after 2 rounds.")
    asked = {"kind": "input_required", "reason": WHY, "since": "2026-11-30T12:00:00+00:00", "about": "pull_request"}
    Operation.objects.filter(pk=operation.pk).update(
        status="succeeded", stage="complete", error=None, attention=asked, engine_kind="llm", result={}
    )
    visitor.go(reverse("admin:operations_operation_change", args=[operation.pk]))
    notice = visitor.page.locator(".notice.ask")
    expect(notice).to_contain_text(WHY)
    for name in ("Another round", "I take it from here", "Close it", "Look at it now"):
        expect(notice.get_by_role("button", name=name)).to_be_visible()
    assert serious(visitor.page) == []
    notice.get_by_label("What it should do").fill("Use ruff.")
    notice.get_by_role("button", name="Another round").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("Another round begins")
    assert PullRequest.objects.get().decided == {"do": "round", "by": operator.username, "text": "Use ruff."}

    Operation.objects.update(attention=None)
    visitor.page.reload()
    visitor.page.get_by_text("Decide about its pull request").click()
    expect(visitor.page.get_by_role("button", name="Close it")).to_be_visible()
    assert serious(visitor.page) == []
