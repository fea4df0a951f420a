"""User ids lent to berths: one owner each, from the operator's range."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from resources import leases, uids
from resources.models import Host, Lease
from tests import factories
from tests.at_once import at_once

NOW = timezone.now()


def reserve(host: Host, owner: str) -> Lease:
    return uids.reserve(host=host, owner=owner, generation=1, now=NOW, expires_at=NOW + timedelta(minutes=10))


@pytest.mark.django_db(transaction=True)
def test_askers_at_once_get_different_user_ids(settings: Any) -> None:
    settings.UID_RANGE = (210000, 210049)
    host = factories.host()
    taken = at_once([partial(reserve, host, f"agent:{n}") for n in range(50)])
    assert {getattr(lease, "key", lease) for lease in taken} == {str(number) for number in range(210000, 210050)}


@pytest.mark.django_db
def test_a_released_user_id_is_lent_again_and_an_exhausted_range_says_so(settings: Any) -> None:
    settings.UID_RANGE = (210000, 210000)
    host = factories.host()
    reserve(host, "agent:1")
    with pytest.raises(uids.UidsExhausted, match="210000-210000 of node-a") as refused:
        reserve(host, "agent:2")
    assert "MOORAGE_UID_RANGE" in refused.value.remedy_text
    leases.release(owner="agent:1", actor="system", reason="left", now=NOW)
    assert reserve(host, "agent:2").key == "210000"
