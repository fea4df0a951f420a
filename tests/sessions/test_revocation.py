"""One question for everybody's rights: each hears of their own, and whoever cannot be asked for is not forgotten."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent
from sessions import revocation
from sessions.models import Terminal
from sessions.revocation import Rechecks, Rights


class Socket:
    """One that looks at these terminals."""

    def __init__(self, user: Any, *terminals: uuid.UUID) -> None:
        self._user, self._terminals = user, set(terminals)
        self.ended = asyncio.Event()

    def still_signed_in(self) -> Any:
        return self._user

    def looks_at(self) -> set[uuid.UUID]:
        return self._terminals

    def hear_rights(self, asked: set[uuid.UUID], rights: Rights | None) -> None:
        """Not what is tested here."""

    def not_asked(self) -> None:
        self.ended.set()


class Broken(Socket):
    """One whose question cannot even be put."""

    def looks_at(self) -> set[uuid.UUID]:
        raise RuntimeError("a fault of ours")


@pytest.mark.django_db
def test_everybody_hears_of_their_own_rights_by_one_question_for_each_user(
    agent: Agent, user: Any, stranger: Any, django_assert_num_queries: Any
) -> None:
    opened = {"agent": agent, "created_by": user, "created_at": timezone.now()}
    mine, other = (Terminal.objects.create(**opened) for _ in range(2))
    sockets = [Socket(user, mine.pk), Socket(user, other.pk), Socket(stranger, mine.pk), Socket(None, mine.pk)]
    with django_assert_num_queries(2):
        rights = revocation._rights({socket: socket.looks_at() for socket in sockets})
    first, second, eve, nobody = (rights[socket] for socket in sockets)
    assert first is not None
    assert second is not None
    assert (first[mine.pk], second[other.pk]) == (True, True)
    assert eve == {}
    assert nobody is None


def test_when_rights_cannot_be_asked_for_any_more_every_socket_ends_and_those_who_come_later_are_asked() -> None:
    async def scene() -> None:
        rechecks = Rechecks()
        bystander, broken = Socket(None), Broken(None)
        rechecks.join(bystander)
        rechecks.join(broken)
        async with asyncio.timeout(60):
            await bystander.ended.wait()
            await broken.ended.wait()
        for visitor in (bystander, broken):
            rechecks.leave(visitor)
        late = Broken(None)
        rechecks.join(late)
        async with asyncio.timeout(60):
            await late.ended.wait()

    asyncio.run(scene())
