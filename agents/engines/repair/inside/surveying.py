"""Each test by itself, then those that matter under the tracer."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from .bay import Warm
from .naming import junit_name, words_for
from .pool import wall_s
from .tracing import Tracer


def survey(warm: Warm, items: list[Any]) -> dict[str, Any]:
    """Run each test by itself, then those that matter under the tracer."""
    job, pool = warm.bay.job, warm.pool
    ends = time.monotonic() + job["seconds"]
    known = _known(job, [junit_name(item.nodeid) for item in items])
    told = not known.isdisjoint(job["failing"])  # then the others are those that passed
    tests: list[dict[str, Any]] = []

    def timed(item: Any, limit_s: float) -> Callable[[], Any]:
        def run() -> Any:
            began = time.process_time()
            outcome = warm.run(item, limit_s)
            return [outcome, time.process_time() - began, warm.crash]

        return run

    def first() -> Iterator[tuple[Any, Callable[[], Any], float]]:
        ordered = sorted(range(len(items)), key=lambda at: junit_name(items[at].nodeid) not in known)
        for at in ordered:
            if time.monotonic() > ends:
                return
            patient = told and junit_name(items[at].nodeid) not in known
            hung = sum(test["outcome"] == "hung" for test in tests)
            limit_s = job["patient_s"] if patient else job["hang_s"] / (1 if hung < 2 else 3)
            yield at, timed(items[at], limit_s), wall_s(limit_s)

    for at, answer, how in pool.run(first()):
        outcome, seconds, crash = answer or ["hung" if how == "time" else "died", job["hang_s"], []]
        tests.append({"at": at, "outcome": outcome, "seconds": seconds, "crash": crash})
    failing = [test for test in tests if test["outcome"] not in ("passed", "skipped")]
    failing = [test for test in failing if junit_name(items[test["at"]].nodeid) in known] or failing
    homes = {items[test["at"]].nodeid.partition("::")[0] for test in failing}
    passing = [test for test in tests if test["outcome"] == "passed"]
    passing.sort(key=lambda test: (items[test["at"]].nodeid.partition("::")[0] not in homes, test["at"]))
    quick = sorted((test for test in failing if test["outcome"] == "failed"), key=lambda test: test["seconds"])
    traced = quick[:30] + [test for test in failing if test["outcome"] != "failed"][:4] + passing[:120]
    seen = _trace(warm, items, traced, ends)
    for test in tests:
        test["id"] = items[test["at"]].nodeid
        test["known"] = junit_name(test["id"]) in known
    tests.sort(key=lambda test: test["at"])
    at_import = warm.tracer.as_json()["lines"] if warm.tracer else {}
    return {"tests": tests, "imported": at_import, "broken": warm.broken[:20], **seen}


def _known(job: dict[str, Any], names: list[str]) -> set[str]:
    """The tests to mend: those that failed before; where their names were lost, those that the requirement names."""
    said = set(job["words"])
    return set(job["failing"]) & set(names) or {name for name in names if words_for(name) & said}


def _trace(warm: Warm, items: list[Any], chosen: list[dict[str, Any]], ends: float) -> dict[str, Any]:
    """Add to each chosen test what it executed, and answer with what was seen of types.

    A test that hangs is cut, and what it did until then counts.
    """
    kinds: dict[str, dict[str, set[str]]] = {}
    attributes: dict[str, dict[str, str]] = {}

    def traced(test: dict[str, Any]) -> Callable[[], Any]:
        def run() -> Any:
            tracer = Tracer(warm.bay.where)

            def cut(*_: Any) -> None:
                raise TimeoutError("cut by the tracer")

            signal.signal(signal.SIGVTALRM, cut)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.4, 0.2)
            sys.settrace(tracer)
            try:
                warm.run(items[test["at"]], 4.0)
            except TimeoutError:
                pass  # it came late, between the test and its report
            finally:
                sys.settrace(None)
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            return tracer.as_json()

        return run

    work = ((test["at"], traced(test), 20.0) for test in chosen if time.monotonic() < ends)
    by_place = {test["at"]: test for test in chosen}
    for at, answer, _how in warm.pool.run(work):
        by_place[at]["lines"] = answer["lines"] if answer else {}
        for place, names in answer["types"].items() if answer else ():
            for name, found in names.items():
                kinds.setdefault(place, {}).setdefault(name, set()).update(found)
        for kind, held in answer["attributes"].items() if answer else ():
            attributes.setdefault(kind, {}).update(held)
    told = {place: {name: sorted(found) for name, found in names.items()} for place, names in kinds.items()}
    return {"types": told, "attributes": attributes}
