"""An operator's yes: by whom, for what, how it ends, and what of it is on the record."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from config.environment import BadSetting, Environment
from events import journal
from events.models import Event
from resources.egress import daemon, grants, rules
from resources.egress.denials import Denial
from resources.models import EgressGrant
from tests import factories
from tests.at_once import at_once

URL = "/api/v1/egress/grants/"


def grant(destination: str = "pypi.org", **wanted: Any) -> EgressGrant:
    wanted = wanted or {"template": "python"}
    return grants.grant(
        destination=destination, granted_by="user:ada", reason="dependencies", now=timezone.now(), **wanted
    )


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    client.force_login(factories.user(staff=True))
    return client


@pytest.mark.django_db
def test_a_grant_and_its_end_are_on_the_record() -> None:
    made = grant("Git.Example:22")
    grants.withdraw(made.pk, actor="user:bob", reason="done", now=timezone.now())
    grants.withdraw(made.pk, actor="user:eve", reason="again", now=timezone.now())
    told = [(event.kind, event.actor, event.data["destination"]) for event in journal.replay(made.topic, after=0)]
    assert told == [
        ("egress.granted", "user:ada", "git.example:22"), ("egress.withdrawn", "user:bob", "git.example:22"),
    ]  # fmt: skip
    made.refresh_from_db()
    assert made.withdrawn_by == "user:bob"


@pytest.mark.django_db
def test_granting_twice_is_one_grant_until_it_is_withdrawn() -> None:
    first = grant()
    assert grant() == first
    assert grant("pypi.org:443") != first
    grants.withdraw(first.pk, actor="user:ada", reason="", now=timezone.now())
    assert grant() != first


@pytest.mark.django_db(transaction=True)
def test_eight_operators_at_once_make_one_grant() -> None:
    made = at_once([grant] * 8)
    assert len(set(made)) == 1
    assert EgressGrant.objects.count() == 1
    assert Event.objects.filter(kind="egress.granted").count() == 1


@pytest.mark.django_db
def test_a_grant_is_for_one_template_or_one_project_also_for_the_database() -> None:
    for wanted in ({"template": ""}, {"template": "python", "project_id": uuid.uuid4()}):
        with pytest.raises(grants.BadGrant):
            grant(**wanted)
        with pytest.raises(IntegrityError), transaction.atomic():
            EgressGrant.objects.create(
                host="a.example", granted_by="user:ada", reason="", created_at=timezone.now(), **wanted
            )


@pytest.mark.django_db
@pytest.mark.parametrize("destination", ["*", "*.com", "http://pypi.org/", "pypi.org:0", "[::1]", "0x7f.1"])
def test_what_names_no_destination_cannot_be_granted(destination: str) -> None:
    with pytest.raises(rules.BadRule) as refused:
        grant(destination)
    assert refused.value.pointer == "/destination"


@pytest.mark.django_db
def test_an_unknown_grant_cannot_be_withdrawn() -> None:
    with pytest.raises(grants.GrantNotFound):
        grants.withdraw(uuid.uuid4(), actor="user:ada", reason="", now=timezone.now())


def test_staff_grant_list_and_withdraw_over_http(staff: Client) -> None:
    wish = {"destination": "*.example.org", "template": "python", "reason": "documentation"}
    answer = staff.post(URL, wish, content_type="application/json")
    assert answer.status_code == 201
    made = answer.json()
    assert (made["destination"], made["granted_by"], made["withdrawn_at"]) == ("*.example.org", "user:ada", None)
    assert [row["id"] for row in staff.get(URL).json()["results"]] == [made["id"]]
    ended = staff.post(f"{URL}{made['id']}/withdraw/", {"reason": "done"}, content_type="application/json")
    assert ended.status_code == 200
    assert ended.json()["withdrawn_by"] == "user:ada"


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({"destination": "*.org", "template": "python", "reason": "x"}, "/destination"),
        ({"destination": "a.example", "reason": "x"}, "/template"),
        ({"destination": "a.example", "template": "python"}, "/reason"),
        ({"destination": "a.example", "project_id": "nonsense", "reason": "x"}, "/project_id"),
    ],
)
def test_a_bad_wish_is_a_problem_that_points_at_the_field(staff: Client, wish: dict[str, str], pointer: str) -> None:
    answer = staff.post(URL, wish, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_others_neither_grant_nor_see_grants_and_denials(client: Client, db: None) -> None:
    made = grant()
    client.force_login(factories.user("bob"))
    wish = {"destination": "a.example", "template": "python", "reason": "x"}
    assert client.post(URL, wish, content_type="application/json").status_code == 403
    assert client.post(f"{URL}{made.pk}/withdraw/").status_code == 403
    assert client.get(URL).status_code == 403
    assert client.get("/api/v1/egress/denials/").status_code == 403


def test_a_denial_is_an_event_of_the_agent_that_staff_can_list(staff: Client) -> None:
    agent = factories.agent()
    daemon._record(agent.owner, Denial("files.example", 443, "not_allowed", repeated=3), "node-a")
    (row,) = staff.get("/api/v1/egress/denials/").json()["results"]
    assert row["topic"] == agent.topic
    assert row["egress"] == {"host": "files.example", "port": 443, "reason": "not_allowed", "repeated": 3}
    event = journal.replay(agent.topic, after=1)[0]
    assert (event.actor, event.reason) == ("worker:node-a", "files.example:443 not_allowed")


def test_the_console_lists_grants_and_withdraws_them(staff: Client) -> None:
    made = grant()
    page = "/admin/resources/egressgrant/"
    assert "pypi.org" in staff.get(page).content.decode()
    answer = staff.post(page, {"action": "withdraw", "_selected_action": [str(made.pk)]}, follow=True)
    assert "is withdrawn" in answer.content.decode()
    made.refresh_from_db()
    assert made.withdrawn_by == "user:ada"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:password@mirror.example/", "https://token@mirror.example/", "ftp://mirror.example/",
        "mirror.example", "https:///simple/", "https://mirror.example:99999/", "https://mirror.example/a b", "https://mirror.example/\n",
    ],
)  # fmt: skip
def test_a_mirror_that_holds_credentials_or_is_no_url_stops_the_start(url: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Environment({"MOORAGE_PACKAGE_MIRROR_URL": url}).mirror("MOORAGE_PACKAGE_MIRROR_URL")
    assert "password@" not in str(refused.value)
    assert "token" not in str(refused.value)
