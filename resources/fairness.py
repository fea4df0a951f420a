"""The waiting line: who is served next, so that nobody starves, by three rules that fit in a sentence each.

1. Higher priority first; each period of waiting raises it by one, so that low priority has its turn at last.
2. Among equals, the borrower that would hold the fewest berths is next: first between users, then between the projects
   of that user. Who submits two hundred at once waits for themselves, not the others for them.
3. Among equals, who asked first.

Whoever has all the berths that their quota allows stands behind everyone who may be served.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

Held = Mapping[tuple[str, str], int]  # (user, project) -> berths they hold now


@dataclass(frozen=True, slots=True)
class Waiter:
    """One that waits for a berth. ``since`` is when this wait began, ``asked_at`` when it was asked for at all."""

    id: UUID
    priority: int
    asked_at: datetime
    since: datetime
    user: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How priorities age, and how many berths whom its quota allows; who is not named has no limit."""

    aging: timedelta
    highest: int
    users: Mapping[str, int] = field(default_factory=dict)
    projects: Mapping[str, int] = field(default_factory=dict)


def order(waiters: Iterable[Waiter], *, held: Held, rules: Rules, now: datetime) -> list[Waiter]:
    """The waiters as they will be served if nothing else happens: the answer is a simulation of it."""
    ranks: dict[int, list[Waiter]] = defaultdict(list)
    for waiter in waiters:
        ranks[urgency(waiter, rules=rules, now=now)].append(waiter)
    books = _Books(held, rules)
    served: list[Waiter] = []
    parked: list[Waiter] = []
    for rank in sorted(ranks, reverse=True):
        for waiter in _in_turns(ranks[rank], books):
            (served if books.serve(waiter) else parked).append(waiter)
    return served + parked


def urgency(waiter: Waiter, *, rules: Rules, now: datetime) -> int:
    """Its priority with what it gained by waiting, at most the highest there is."""
    gained = (now - waiter.since) // rules.aging if rules.aging else 0
    return max(waiter.priority, min(rules.highest, waiter.priority + max(0, gained)))


class _Books:
    """Who holds how many berths, while the line is served in thought."""

    def __init__(self, held: Held, rules: Rules) -> None:
        self._rules = rules
        self.of_party: dict[str, int] = defaultdict(int)
        self.of_pair: dict[tuple[str, str], int] = defaultdict(int)
        self._of_user: dict[str, int] = defaultdict(int)
        self._of_project: dict[str, int] = defaultdict(int)
        for (user, project), count in held.items():
            self._add(user, project, count)

    def serve(self, waiter: Waiter) -> bool:
        """Count it in; False when a quota stands against it."""
        user_may = self._of_user[waiter.user] < self._rules.users.get(waiter.user, 1 << 62)
        project_may = self._of_project[waiter.project] < self._rules.projects.get(waiter.project, 1 << 62)
        if not (user_may and project_may):
            return False
        self._add(waiter.user, waiter.project, 1)
        return True

    def _add(self, user: str, project: str, count: int) -> None:
        self.of_party[_party(user, project)] += count
        self.of_pair[user, project] += count
        self._of_user[user] += count
        self._of_project[project] += count


def _party(user: str, project: str) -> str:
    """Who takes turns: users, and the projects that nobody in particular works for."""
    return user or f"project {project}"


def _in_turns(waiters: Sequence[Waiter], books: _Books) -> Iterable[Waiter]:
    """One rank of the line. The caller counts each in before it asks for the next."""
    lines: dict[str, dict[str, deque[Waiter]]] = defaultdict(lambda: defaultdict(deque))
    for waiter in sorted(waiters, key=_age):
        lines[_party(waiter.user, waiter.project)][waiter.project].append(waiter)
    turns = [(_turn(party, theirs, books), party) for party, theirs in lines.items()]
    heapq.heapify(turns)
    while turns:
        _, party = heapq.heappop(turns)
        theirs = lines[party]
        project = min(theirs, key=lambda name: (books.of_pair[theirs[name][0].user, name], _age(theirs[name][0])))
        yield theirs[project].popleft()
        if not theirs[project]:
            del theirs[project]
        if theirs:
            heapq.heappush(turns, (_turn(party, theirs, books), party))


def _turn(party: str, theirs: Mapping[str, deque[Waiter]], books: _Books) -> tuple[int, tuple[datetime, UUID]]:
    return books.of_party[party], min(_age(line[0]) for line in theirs.values())


def _age(waiter: Waiter) -> tuple[datetime, UUID]:
    return waiter.asked_at, waiter.id
