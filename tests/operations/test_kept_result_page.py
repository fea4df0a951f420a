"""What is kept can be looked at, with its hits."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils import timezone

from operations.models import KeptResult


def test_the_console_lists_what_is_kept_with_its_hits(admin_client: Any) -> None:
    now = timezone.now()
    KeptResult.objects.create(key="a" * 64, kind="tests", result={}, hits=7, created_at=now, used_at=now)
    page = admin_client.get(reverse("admin:operations_keptresult_changelist"))
    assert page.status_code == 200, page
    assert "Clean tests" in page.content.decode()
    assert '<td class="field-hits">7</td>' in page.content.decode()
