"""A form with more in it than is taken: said as such, not as something that cannot be understood."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_a_form_of_many_megabytes_is_told_to_be_too_large(admin_client: Client, settings: Any) -> None:
    much = "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    answer = admin_client.post(reverse("admin:operations_operation_add"), {"requirements": much})
    assert answer.status_code == 413
    assert "MB in one form are not taken" in answer.content.decode()
