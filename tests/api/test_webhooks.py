"""The webhook endpoint: nobody gets in without the secret, nothing is taken twice, nothing large is read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from events.models import Event
from operations.coding import webhooks
from operations.models import Delivery
from tests.fakes.github_deliveries import SECRET, deliver, signature

PING = {"zen": "Keep it simple.", "repository": {"html_url": "https://github.com/team/app"}}


@pytest.fixture(autouse=True)
def secret(settings: Any, db: None) -> None:
    settings.GITHUB_WEBHOOK_SECRET = SECRET


def test_a_signed_delivery_is_taken_once() -> None:
    first, again = (deliver("ping", PING, delivery="delivery-1") for _each in range(2))
    assert (first.status_code, first.json()) == (202, {"delivery_id": "delivery-1", "duplicate": False, "hinted": 0})
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize(
    "signed",
    [
        "",
        "sha256=",
        "sha1=abc",
        "sha256=" + "0" * 64,
        signature(b"another body"),
        signature(b"{}", "another secret"),
        "é",
    ],
)
def test_a_bad_signature_is_refused_and_leaves_nothing(signed: str) -> None:
    answer = deliver("ping", b"{}", signed=signed.encode().decode("latin-1"))
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook.bad_signature")
    assert not Delivery.objects.exists()
    assert not Event.objects.exists()


def test_a_body_that_was_changed_on_the_way_is_refused() -> None:
    assert deliver("ping", b'{"a": 2}', signed=signature(b'{"a": 1}')).status_code == 401


def test_without_a_secret_nothing_is_taken_at_all(settings: Any) -> None:
    settings.GITHUB_WEBHOOK_SECRET = ""
    answer = deliver("ping", b"{}", signed=signature(b"{}", ""))
    assert (answer.status_code, answer.json()["code"]) == (404, "webhook.not_configured")


def test_a_huge_body_is_refused_however_it_is_signed() -> None:
    body = b'"' + b"x" * webhooks.BODY_BYTES + b'"'
    answer = deliver("push", body)
    assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"[" * 100_000, b"\xff\xfe"])
def test_a_signed_body_that_is_no_delivery_is_refused(body: bytes) -> None:
    assert deliver("push", body).status_code == 400


@pytest.mark.parametrize("headers", [{"X-GitHub-Delivery": "../x"}, {"X-GitHub-Event": "Push!"}])
def test_malformed_headers_are_refused(headers: dict[str, str]) -> None:
    assert deliver("push", PING, **headers).status_code == 400


@pytest.mark.parametrize(
    "said",
    [
        {"repository": 7},
        {"repository": {"html_url": ["x"]}},
        {"repository": {"html_url": "https://github.com/team/app"}, "pull_request": {"number": "1"}},
        {
            "repository": {"html_url": "https://github.com/team/app"},
            "check_run": {"pull_requests": [{}, 3], "head_sha": 1},
        },
        {"repository": {"html_url": "https://github.com/team/app"}, "ref": {}},
    ],
)
def test_odd_shapes_in_a_signed_delivery_hint_at_nothing(said: dict[str, Any]) -> None:
    for event in ("pull_request", "check_run", "push", "status"):
        answer = deliver(event, said)
        assert (answer.status_code, answer.json()["hinted"]) == (202, 0)


def test_ids_are_kept_for_as_long_as_the_forge_may_offer_them_again() -> None:
    now = timezone.now()
    for age, name in ((timedelta(days=13), "young-one"), (timedelta(days=15), "an-old-one")):
        Delivery.objects.create(forge="github", delivery_id=name, event="ping", received_at=now - age)
    assert webhooks.forget(now=now) == 1
    assert [row.delivery_id for row in Delivery.objects.all()] == ["young-one"]
