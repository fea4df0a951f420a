"""The daemon in this process, asked between two polls: what a connection's own question may set going."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from events.models import Event
from resources import leases
from resources.egress import berths, daemon
from resources.models import Host
from tests import factories

from .conftest import ask

pytestmark = pytest.mark.django_db(transaction=True)
DENIED = b"GET http://unlisted.example/ HTTP/1.1\r\nHost: unlisted.example\r\n\r\n"


@pytest.fixture
def host(data_directory: object, monkeypatch: pytest.MonkeyPatch) -> Host:
    berths.root().mkdir(parents=True)
    monkeypatch.chdir(berths.root())  # a socket's whole path may be too long for a socket
    return factories.host("node-a")


def _berth(host: Host) -> str:
    now, owner = timezone.now(), f"agent:{uuid.uuid4()}"
    berths.prepare(
        host=host, owner=owner, generation=1, key=f"{owner.removeprefix('agent:')}-1", network={"ask": True},
        template="python", project_id=None, now=now, expires_at=now + timedelta(minutes=5),
    )  # fmt: skip
    return owner


def _release(owner: str) -> None:
    leases.release(owner=owner, actor="system", reason="test", now=timezone.now())


def _socket(owner: str) -> Path:
    return Path(f"{owner.removeprefix('agent:')}-1", "proxy.sock")


async def test_a_refused_request_that_finds_its_own_lease_released_ends_and_the_other_berths_are_served_on(
    host: Host,
) -> None:
    """The request itself makes the daemon look into the ledger, and the daemon then closes the request's berth."""
    gone, stays = [await sync_to_async(_berth)(host) for _ in range(2)]
    served = daemon.Daemon(host_name="node-a", private_hosts=frozenset())
    await served.refresh(fresh_s=0.0)
    reader, writer = await asyncio.open_unix_connection(str(_socket(gone)))
    await sync_to_async(_release)(gone)
    await asyncio.sleep(daemon.FRESH_S)  # so that the ledger is asked again
    try:
        writer.write(DENIED)
        async with asyncio.timeout(10):
            await reader.read(-1)
            assert b"[not_allowed]" in await ask(_socket(stays), DENIED)
            await served.close()
    finally:
        writer.close()
    assert not _socket(gone).parent.exists()
    denied = Event.objects.filter(kind="agent.egress_denied", topic=stays.replace(":", "."))
    assert await denied.acount() == 1
    await sync_to_async(connections.close_all)()
