"""Quotas: what one user and one project may hold, said with figures, changed by operators alone."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from events.models import Event
from resources import hosts, leases, quotas
from resources.admission import Admitted, Blocked, Size, admit
from resources.models import Account, Host
from resources.quotas import Party
from resources.reasons import in_words
from resources.sandboxes.protocol import Tier
from tests import factories
from tests.at_once import at_once

pytestmark = pytest.mark.django_db

NOW = timezone.now()
SMALL = Size(memory_mb=256, cpu_millis=250, disk_mb=512)
ADA = Party(user="7", project=str(uuid.UUID(int=1)))


def ask(owner: str, party: Party = ADA, size: Size = SMALL, lighter: Size | None = None) -> Admitted | Blocked:
    with transaction.atomic():
        return admit(
            owner=owner, generation=1, size=size, lighter=lighter, party=party, minimum=Tier.LANDLOCK, now=NOW,
            expires_at=NOW + timedelta(minutes=10),
        )  # fmt: skip


def grant(kind: str, key: str, **limits: int | None) -> Account:
    return quotas.grant(kind=kind, key=key, limits=limits, actor="user:root", reason="asked", now=NOW)


def roomy(**lent: Any) -> Host:
    return factories.host(**{"slots": 99, "memory_mb": 99999, "cpu_millis": 99999, "disk_mb": 99999, **lent})


def test_without_a_quota_only_the_host_is_the_limit() -> None:
    roomy()
    assert all(isinstance(ask(f"agent:{n}"), Admitted) for n in range(9))
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    ("limits", "resource", "needs", "used", "limit"),
    [
        ({"slots": 2}, "slots", 1, 2, 2),
        ({"memory_mb": 600}, "memory_mb", 256, 512, 600),
        ({"cpu_millis": 749}, "cpu_millis", 250, 500, 749),
        ({"disk_mb": 1024}, "disk_mb", 512, 1024, 1024),
    ],
)
@pytest.mark.parametrize("kind", ["user", "project"])
def test_the_quota_that_stands_in_the_way_is_named_with_its_figures(
    settings: Any, kind: str, limits: dict[str, int], resource: str, needs: int, used: int, limit: int
) -> None:
    setattr(settings, f"{kind.upper()}_QUOTA", limits)
    roomy()
    assert all(isinstance(ask(f"agent:{n}"), Admitted) for n in range(2))
    refused = ask("agent:2")
    assert isinstance(refused, Blocked)
    (reason,) = refused.reasons
    key = ADA.user if kind == "user" else ADA.project
    assert reason == {
        "kind": "quota", "of": kind, kind: key, "resource": resource, "needs": needs, "used": used, "limit": limit,
    }  # fmt: skip
    assert (refused.by_quota, refused.for_everyone, refused.curable) == (True, False, False)
    per = 1000 if resource == "cpu_millis" else 1
    assert f"{used / per:,g}" in in_words(reason)
    assert f"{round(limit / per, 2):,g}" in in_words(reason)
    assert isinstance(ask("agent:3", Party(user="8", project=str(uuid.UUID(int=2)))), Admitted), "others have their own"
    leases.release(owner="agent:0", actor="system", reason="left", now=NOW)
    assert isinstance(ask("agent:2"), Admitted)


def test_more_than_may_ever_be_held_is_said_so() -> None:
    grant("user", ADA.user, memory_mb=100)
    refused = ask("agent:1")
    assert isinstance(refused, Blocked)
    assert in_words(refused.reasons[0]) == (
        "it needs 256 MB of memory, above the 100 that who asked for it may hold at all"
    )


def test_a_row_overrides_the_settings_and_null_gives_them_back(settings: Any) -> None:
    settings.USER_QUOTA = {"slots": 1}
    roomy()
    grant("user", ADA.user, slots=3, memory_mb=512)
    assert quotas.limits_of("user", ADA.user) == {"slots": 3, "memory_mb": 512}
    assert all(isinstance(ask(f"agent:{n}"), Admitted) for n in range(2))
    assert isinstance(ask("agent:2"), Blocked)
    grant("user", ADA.user, memory_mb=None)
    assert isinstance(ask("agent:2"), Admitted)
    grant("user", ADA.user, slots=None)
    assert quotas.limits_of("user", ADA.user) == {"slots": 1}
    events = Event.objects.filter(kind="quota.changed").order_by("seq")
    assert [event.data["after"]["slots"] for event in events] == [3, 3, None]


def test_granting_the_same_again_is_no_event() -> None:
    grant("user", "7", slots=3)
    grant("user", "7", slots=3)
    assert Event.objects.filter(kind="quota.changed").count() == 1


@pytest.mark.parametrize(
    ("kind", "key", "limits"),
    [
        ("team", "7", {"slots": 1}),
        ("user", "ada", {"slots": 1}),
        ("user", "0", {"slots": 1}),
        ("project", "7", {"slots": 1}),
        ("user", "7", {"berths": 1}),
        ("user", "7", {"slots": -1}),
        ("user", "7", {"slots": 2**31}),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(kind: str, key: str, limits: dict[str, int]) -> None:
    with pytest.raises(quotas.BadQuota):
        grant(kind, key, **limits)
    assert not Account.objects.exists()


def test_a_lighter_size_within_the_quota_is_taken() -> None:
    roomy()
    grant("user", ADA.user, memory_mb=300)
    light = Size(memory_mb=128, cpu_millis=250, disk_mb=512)
    assert ask("agent:1", size=Size(512, 250, 512), lighter=light) == Admitted(Host.objects.get(), light)


@pytest.mark.django_db(transaction=True)
def test_two_hundred_at_once_on_three_hosts_never_get_more_than_the_quota() -> None:
    for name in "abc":
        roomy(name=name)
    grant("user", ADA.user, slots=7)
    answers = at_once([partial(ask, f"agent:{n}") for n in range(60)])
    assert [answer for answer in answers if not isinstance(answer, Admitted | Blocked)] == []
    assert sum(isinstance(answer, Admitted) for answer in answers) == 7
    assert sum(hosts.usage(host).slots for host in Host.objects.all()) == 7


# --- over HTTP --------------------------------------------------------------------------------------------------------


def client(*, staff: bool) -> APIClient:
    who = factories.user("root" if staff else "ada", staff=staff)
    made = APIClient()
    made.force_authenticate(who)
    return made


def test_everyone_sees_their_own_and_staff_change_anybodys(settings: Any) -> None:
    settings.USER_QUOTA = {"slots": 4}
    ada, root = client(staff=False), client(staff=True)
    mine = ada.get("/api/v1/quotas/mine/").json()
    unlimited = {"memory_mb": None, "cpu_millis": None, "disk_mb": None}
    assert mine["limits"] == {"slots": 4, **unlimited}
    assert mine["used"] == {"slots": 0, "memory_mb": 0, "cpu_millis": 0, "disk_mb": 0}
    place = f"/api/v1/quotas/user/{mine['key']}/"
    assert ada.patch(place, {"slots": 99}, format="json").status_code == 403
    assert ada.get("/api/v1/quotas/").status_code == 403
    changed = root.patch(place, {"slots": 9, "reason": "a demo"}, format="json")
    assert (changed.status_code, changed.json()["limits"]["slots"]) == (200, 9)
    assert ada.get("/api/v1/quotas/mine/").json()["limits"]["slots"] == 9
    assert [row["key"] for row in root.get("/api/v1/quotas/").json()["results"]] == [mine["key"]]
    assert root.patch(place, {"slots": None}, format="json").json()["limits"]["slots"] == 4


def test_nonsense_over_http_is_a_problem_with_its_code() -> None:
    root = client(staff=True)
    answer = root.patch("/api/v1/quotas/project/7/", {"slots": 1}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "quota.bad")
    assert root.patch("/api/v1/quotas/user/7/", {"slots": -1}, format="json").status_code == 400
    assert root.get("/api/v1/quotas/team/7/").status_code == 404


def test_operators_set_quotas_in_the_console_by_a_users_name(client: Any) -> None:
    client.force_login(factories.user("root", staff=True))
    ada = factories.user("ada")
    asked = {"kind": "user", "key": "ada", "slots": "3", "reason": "a demo"}
    assert client.post("/admin/resources/account/add/", asked).status_code == 302
    account = Account.objects.get()
    assert (account.key, account.slots, account.changed_by) == (str(ada.pk), 3, "user:root")
    shown = client.get(f"/admin/resources/account/{account.pk}/change/")
    assert "slots 0 of 3" in shown.content.decode()
    assert "user ada" in client.get("/admin/resources/account/").content.decode()
    wrong = client.post("/admin/resources/account/add/", {**asked, "key": "nobody"})
    assert "no id of a user" in wrong.content.decode()
