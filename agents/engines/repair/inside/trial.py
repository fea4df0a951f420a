"""Candidates, tried on the warm process; and the one that is left, on the whole suite."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .bay import Bay, Warm, run_with
from .pool import Pool, wall_s
from .state import Parameters, Unknown, fingerprint, resident_mb

FEW = 2  # quick failing tests that are run even where the first of them still fails


A_TEST_S = 0.05  # by the clock, for one of many quick tests on a busy machine
TOGETHER_MOST = 24  # candidates in one child
GROWN_MB = 24  # what one left in memory is missing for the next


@dataclass(frozen=True)
class Prepared:
    """A candidate that compiles. ``code`` is its function's, where that is all that changes."""

    identity: str
    run: Callable[[], list[Any]]
    place: tuple[str, str, int]
    code: types.CodeType | None


class Trial:
    """Candidates, one after the other, on the warm process."""

    def __init__(self, warm: Warm, items: list[Any]) -> None:
        self.warm, self.bay, self.job = warm, warm.bay, warm.bay.job
        by_id = {item.nodeid: item for item in items}
        self.failing = [by_id[name] for name in self.job["failing"] if name in by_id]
        self.passing = [by_id[name] for name in self.job["passing"] if name in by_id]
        self.few = max(1, min(FEW, self.job["quick"]))  # one that hung is run only where those before it pass
        self.each_s = wall_s(self.job["limit_s"]) + A_TEST_S * (len(self.failing) + len(self.passing))
        self.functions: dict[tuple[str, str, int], list[Any]] = {}
        for function in warm.functions:
            path = self.bay.where(function.__code__.co_filename)
            at = (path, function.__code__.co_qualname, function.__code__.co_firstlineno)
            self.functions.setdefault(at, []).append(function)
        self.journal = Journal(self.job["journal"], attempt=self.job["attempt"])
        self.shapes = set(self.job["shapes"])
        self.results: list[list[Any]] = []
        self.waiting = deque(self.job["candidates"])
        self.again: deque[Prepared] = deque()  # were to be tried in a child that ended before their turn
        self.together, self.over = 1, False
        try:
            self.parameters = Parameters(self.failing[: self.few])
            self.clean = None if self.job["again"] else self._state()
        except Unknown:
            self.clean = None

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        ends = began + self.job["seconds"]
        while True:
            for members, answers, how in self.warm.pool.streams(self._work(ends)):
                self._heard(members, answers, how)
            if self.over or time.monotonic() > ends or not (self.waiting or self.again):
                break
        self.journal.close()
        return {"results": self.results, "shapes": sorted(self.shapes), "seconds": time.monotonic() - began}

    def _note(self, identity: str, verdict: str, fixed: int) -> None:
        self.results.append([identity, verdict, fixed])
        self.journal.write([identity, verdict, fixed])

    def _heard(self, members: list[Prepared], answers: list[Any], how: str) -> None:
        """Verdicts of a child's candidates. The one in which it ended has its own; those after it wait for another."""
        for member, (verdict, fixed) in zip(members, answers, strict=False):
            self._note(member.identity, verdict, fixed)
            if verdict == "passes" and self.job["stop"]:
                self.over = True
        rest = members[len(answers) :]
        if rest and (how or not answers):
            self._note(rest[0].identity, "time" if how == "time" else "died", 0)
            rest = rest[1:]
        elif rest and answers[-1][1] < self.few:  # it changed what the next one would have seen
            self.together = max(1, len(answers))
        elif not rest and len(members) == self.together:
            self.together = min(self.together * 2, TOGETHER_MOST)
        self.again.extend(rest)

    def _work(self, ends: float) -> Iterator[tuple[list[Prepared], Callable[[], Iterable[Any]], float]]:
        """As many for a child as go together."""
        while not self.over and time.monotonic() < ends and (members := self._next()):
            if self._alone(members[0]):
                yield members, lambda run=members[0].run: [run()], self.each_s  # type: ignore[misc]
            else:
                yield members, lambda group=members: self._in_turn(group), self.each_s  # type: ignore[misc]

    def _alone(self, member: Prepared) -> bool:
        return member.code is None or self.clean is None

    def _next(self) -> list[Prepared]:
        """The next ones for a child: only those that exchange a function's code go together."""
        found: list[Prepared] = []
        while (self.again or self.waiting) and len(found) < self.together:
            if self.again:
                member: Prepared | None = self.again.popleft()
            else:
                candidate = self.waiting.popleft()
                known = self.journal.known.get(candidate["id"])
                if known and not (known[1] == "time" and self.job["again"]):
                    self.results.append([*known[:3], "known"])
                    continue
                member = self._prepared(candidate)
            if member is None:
                continue
            if found and self._alone(member):
                self.again.appendleft(member)
                break
            found.append(member)
            if self._alone(member):
                break
        return found

    def _in_turn(self, members: list[Prepared]) -> Iterator[list[Any]]:
        """Candidates one after the other in this process, as long as they fail at once and leave no trace."""
        began_mb = resident_mb()
        for member in members:
            functions = self.functions[member.place]
            before = [function.__code__ for function in functions]
            for function in functions:
                function.__code__ = member.code
            failed = self._first_failures()
            yield failed or self._the_rest()
            if not failed:
                return
            for function, code in zip(functions, before, strict=True):
                function.__code__ = code
            if not self._is_clean() or resident_mb() > began_mb + GROWN_MB:
                return
            self.parameters.restore()

    def _is_clean(self) -> bool:
        try:
            return self._state() == self.clean
        except Unknown:
            return False

    def _state(self) -> bytes:
        own = [function for (path, _, _), found in self.functions.items() if path for function in found]
        return fingerprint(own, self.bay.where)

    def _prepared(self, candidate: dict[str, Any]) -> Prepared | None:
        """What the child does; None for what does not compile or was tried in another spelling."""
        identity = candidate["id"]
        path = os.path.join(self.bay.root, candidate["path"])
        source = self.bay.changed(candidate)
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            self._note(candidate["id"], "invalid", 0)
            return None
        place = (candidate["path"], candidate["function"], candidate["line"])
        part = _within(code, place[1], place[2]) if candidate["function"] else None
        shape = repr((place, _shape(code if part is None or candidate["fresh"] else part)))
        digest = hashlib.sha1(shape.encode(), usedforsecurity=False).hexdigest()[:16]
        if digest in self.shapes and not self.job["again"]:
            self._note(candidate["id"], "same", 0)
            return None
        self.shapes.add(digest)
        if part is None or candidate["fresh"] or not _fits(self.functions.get(place, []), part):
            return Prepared(identity, lambda: self._from_fresh(candidate["path"], source), place, None)
        return Prepared(identity, lambda: self._from_warm(place, part), place, part)

    def _from_warm(self, place: tuple[str, str, int], code: types.CodeType) -> list[Any]:
        for function in self.functions[place]:
            function.__code__ = code
        return self._first_failures() or self._the_rest()

    def _the_rest(self) -> list[Any]:
        limit_s, fixed = self.job["limit_s"], self.few
        for item in self.failing[self.few :]:
            if self.warm.run(item, limit_s) != "passed":
                return ["fails", fixed]
            fixed += 1
        for item in self.passing:
            if self.warm.run(item, limit_s) not in ("passed", "skipped"):
                return ["breaks", fixed]
        return ["passes", fixed]

    def _first_failures(self) -> list[Any] | None:
        """The verdict where one of the first tests still fails; None where all pass."""
        first = self.failing[: self.few]
        fixed = sum(self.warm.run(item, self.job["limit_s"]) == "passed" for item in first)
        return ["fails", fixed] if fixed < len(first) else None

    def _from_fresh(self, path: str, source: bytes) -> list[Any]:
        """Where more changed than one function's code: everything of the project is imported again."""
        names = [item.nodeid for item in (*self.failing, *self.passing)]
        signal.setitimer(signal.ITIMER_PROF, self.job["limit_s"] * 4 + 1)
        results = run_with(self.bay, path, source, [*self.job["arguments"], *names, "--maxfail=1", "--tb=native"])
        fixed = sum(results.outcomes.get(item.nodeid) == "passed" for item in self.failing)
        broken = set(results.broken) - set(self.warm.broken)
        bad = broken or any(outcome == "failed" for outcome in results.outcomes.values())
        return ["passes" if not bad and fixed == len(self.failing) else "fails", fixed]


class Journal:
    """What was tried, so that a search that was killed goes on where it was. Without a file it goes without."""

    def __init__(self, path: str, *, attempt: int) -> None:
        self.attempt = attempt
        self.known: dict[str, list[Any]] = {}
        self._file = None
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    self._read(line)
        except (OSError, UnicodeDecodeError):
            self.known = {}
        try:
            self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open for as long as we are
        except OSError:
            return

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return  # cut by a kill
        if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str):
            if entry[1] == "chosen":  # by an attempt before this one: then it was sent back
                entry[1:] = ["refused", 0] if entry[2] < self.attempt else ["passes", 0]
            self.known[entry[0]] = entry

    def write(self, entry: list[Any]) -> None:
        if self._file:
            self._file.write(json.dumps(entry) + "\n")

    def close(self) -> None:
        if self._file:
            self._file.close()


def _within(code: types.CodeType, name: str, line: int) -> types.CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_qualname == name and constant.co_firstlineno == line:
                return constant
            if name.startswith(constant.co_qualname + ".") and (found := _within(constant, name, line)):
                return found
    return None


def _fits(functions: list[Any], code: types.CodeType) -> bool:
    return bool(functions) and all(function.__code__.co_freevars == code.co_freevars for function in functions)


def _shape(code: types.CodeType) -> tuple[Any, ...]:
    """Equal for sources that compile to the same: other spellings, brackets, comments."""
    constants = tuple(
        _shape(constant) if isinstance(constant, types.CodeType) else (type(constant).__name__, repr(constant))
        for constant in code.co_consts
    )
    return (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_exceptiontable, constants)


def confirm(bay: Bay) -> dict[str, Any]:
    """Every test of the project with the one candidate, in a process that imported nothing before."""
    candidate = bay.job["candidates"][0]
    source = bay.changed(candidate)

    def run() -> Any:
        results = run_with(bay, candidate["path"], source, bay.job["arguments"])
        failed = [name for name, outcome in results.outcomes.items() if outcome == "failed"]
        passed = sum(outcome == "passed" for outcome in results.outcomes.values())
        return {"failed": [*failed, *results.broken][:50], "passed": passed}

    pool = Pool(1, bay.job["memory_mb"])
    ((_, answer, _how),) = pool.run([("all", run, bay.job["seconds"])])
    if answer and answer["passed"]:
        journal = Journal(bay.job["journal"], attempt=bay.job["attempt"])
        journal.write([candidate["id"], "chosen", bay.job["attempt"]])
        journal.close()
    return answer or {"failed": ["(the whole run)"], "passed": 0}
