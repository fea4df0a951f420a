"""Watching: every change once, through whatever happens to the line."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run
from tests.fakes.moorage_server import MoorageServer, once, wait_until

STARTED = "2026-05-01T08:00:00+00:00"
RESULT = {
    "branch": "moorage/sill",
    "commit": "0123abcd",
    "pull_request": {"number": 7, "url": "local:7", "title": "Sill", "state": "open"},
    "diffstat": {"files": 3, "insertions": 60, "deletions": 1},
    "tests": {"before": {"passed": 9, "failed": 1}, "after": {"passed": 14, "failed": 0}},
}


def step(stage: str, outcome: str = "done", **more: Any) -> dict[str, Any]:
    finished = "2026-05-01T08:00:02.500000+00:00"
    return {"stage": stage, "outcome": outcome, "started_at": STARTED, "finished_at": finished, **more}


def work(server: MoorageServer, operation: dict[str, Any], *, pause_s: float = 0.15) -> None:
    """An operation that fails its tests once, recovers and succeeds."""
    fault = {"code": "tests.failed", "detail": "1 test fails"}
    for finished, following in (
        (step("analyze", product={"baseline": {"counts": {"passed": 9, "failed": 1}}}), "code"),
        (step("test", "fault", fault=fault, action="rework"), "code"),
        (step("test", attempt=2), "commit"),
    ):
        time.sleep(pause_s)
        server.move(operation, step=finished, status="running", stage=following)
    time.sleep(pause_s)
    server.move(operation, status="succeeded", completed_at="2026-05-01T08:00:09+00:00", result=RESULT)


def watch_to_its_end(server: MoorageServer, moorage: Run) -> subprocess.CompletedProcess[str]:
    operation = server.add_operation()
    worker = once(server.watched, lambda: work(server, operation))
    done = moorage("operation", "watch", operation["id"])
    worker.join()
    return done


def marks(text: str) -> list[str]:
    """The finished steps, as (mark, stage)."""
    return re.findall(r"^([✓✗] (?:analyze|test|code))", text, re.M)


EACH_ONCE = ["✓ analyze", "✗ test", "✓ test"]


@pytest.mark.parametrize("stream", ["works", "cut", "breaks", "missing"])
def test_each_step_is_told_once_whatever_the_event_stream_does(
    server: MoorageServer, moorage: Run, stream: str
) -> None:
    server.stream = stream
    done = watch_to_its_end(server, moorage)
    assert done.returncode == 0
    assert done.stderr == ""
    assert marks(done.stdout) == EACH_ONCE
    assert "tests.failed: 1 test fails → rework" in done.stdout
    assert "2.5 s  attempt 2" in done.stdout
    assert re.search(r"✓ analyze +2\.5 s  9 passed, 1 failed$", done.stdout, re.M)


def test_the_closing_lines_say_what_came_of_it(server: MoorageServer, moorage: Run) -> None:
    text = watch_to_its_end(server, moorage).stdout
    assert "✓ succeeded after 9.0 s · Deterministic change" in text
    assert re.search(r"branch +moorage/sill$", text, re.M)
    assert re.search(r"commit +0123abcd$", text, re.M)
    assert re.search(r"pull request +#7 Sill local:7$", text, re.M)
    assert re.search(r"tests +9 passed, 1 failed → 14 passed$", text, re.M)


def test_a_stream_that_was_cut_is_resumed_behind_its_last_message(server: MoorageServer, moorage: Run) -> None:
    server.stream = "cut"
    operation = server.add_operation()

    def opened(number: int) -> bool:
        return len(server.streamed_after) >= number

    def one_message_for_each_stream() -> None:
        for number in range(1, 4):
            wait_until(partial(opened, number))
            server.move(operation, stage=f"stage {number}")
        server.move(operation, status="succeeded")

    once(server.watched, one_message_for_each_stream)
    assert moorage("operation", "watch", operation["id"]).returncode == 0
    numbers = [int(after) for after in server.streamed_after]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 3


def test_a_server_without_a_stream_is_polled_and_not_hammered(server: MoorageServer, moorage: Run) -> None:
    server.stream = "missing"
    watch_to_its_end(server, moorage)
    polls = [path for _, path, _, _ in server.requests if "wait=25" in path]
    assert 1 <= len(polls) <= 12


def test_a_failed_operation_ends_with_its_error_its_remedy_and_exit_code_1(server: MoorageServer, moorage: Run) -> None:
    error = {"code": "llm.not_configured", "detail": "No model.", "remedy": "Set MOORAGE_MODELS."}
    operation = server.add_operation(status="failed", error=error)
    done = moorage("operation", "watch", operation["id"])
    assert done.returncode == 1
    assert "llm.not_configured: No model." in done.stdout
    assert "Set MOORAGE_MODELS." in done.stdout


def test_a_waiting_operation_says_why_and_where_in_the_queue(server: MoorageServer, moorage: Run) -> None:
    blocked = [{"kind": "memory", "host": "node-1", "needs_mb": 1536, "free_mb": 900}]
    operation = server.add_operation(status="waiting", blocked_by=blocked, queue_position=3)
    once(server.watched, lambda: server.move(operation, status="cancelled"))
    done = moorage("operation", "watch", operation["id"])
    assert "waiting, memory (host node-1, needs_mb 1536, free_mb 900), position 3 in the queue" in done.stdout
    assert done.returncode == 1


def test_a_reason_is_said_in_the_words_of_the_server(server: MoorageServer, moorage: Run) -> None:
    blocked = [{"kind": "cpu", "needs_millis": 4000, "words": "it needs 4 cores, and node-1 has 2.5 free"}]
    operation = server.add_operation(status="waiting", blocked_by=blocked)
    once(server.watched, lambda: server.move(operation, status="cancelled"))
    assert "waiting, it needs 4 cores, and node-1 has 2.5 free" in moorage("operation", "watch", operation["id"]).stdout


def test_an_operation_that_asks_names_the_command_that_answers(server: MoorageServer, moorage: Run) -> None:
    attention = {"kind": "approval_required", "reason": "Plan ready", "since": STARTED}
    operation = server.add_operation(status="waiting", stage="plan", attention=attention)
    once(server.watched, lambda: server.move(operation, status="cancelled"))
    done = moorage("operation", "watch", operation["id"])
    assert f"! Plan ready: `moorage operation approve {operation['id']}`" in done.stdout


def test_a_server_that_comes_back_in_time_is_waited_for(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="running", stage="code")

    def be_back() -> None:
        server.away = False
        server.move(operation, step=step("code"), status="succeeded", result=RESULT)

    once(lambda: server.streamed_after, lambda: setattr(server, "away", True))
    once(lambda: server.turned_away > 8, be_back)
    done = moorage("operation", "watch", operation["id"], "--patience", "30")
    assert done.returncode == 0
    assert "The server is away" in done.stdout
    assert "The server is back." in done.stdout
    assert marks(done.stdout) == ["✓ code"]


def test_a_server_that_stays_away_is_given_up(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="running", stage="code")
    once(lambda: server.streamed_after, lambda: setattr(server, "away", True))
    done = moorage("operation", "watch", operation["id"], "--patience", "1")
    assert done.returncode == 4
    assert "cannot be reached" in done.stderr


def test_a_server_that_asks_for_patience_gets_it(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="running", stage="code")
    path = f"operations/{operation['id']}/"
    problem = (429, {"code": "request.throttled", "detail": "Slow down."})

    def refuse() -> None:
        server.problems[("GET", path)] = problem
        server.move(operation, stage="test")  # so that it looks at once

    def relent() -> None:
        server.problems.clear()
        server.move(operation, status="succeeded")

    once(server.watched, refuse)
    once(lambda: server.answered_with(429), relent)
    done = moorage("operation", "watch", operation["id"])
    assert done.returncode == 0, done.stderr
    assert "Slow down." in done.stdout


def test_an_operation_that_may_no_longer_be_seen_ends_the_watching(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="running", stage="code")
    once(server.watched, lambda: server.collections["operations"].clear())
    server.stream = "missing"
    assert moorage("operation", "watch", operation["id"]).returncode == 3


def test_json_gives_each_state_on_a_line_of_its_own(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation()
    once(server.watched, lambda: work(server, operation))
    done = moorage("operation", "watch", operation["id"], "--json")
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert states[0]["status"] == "queued"
    assert states[-1]["result"]["branch"] == "moorage/sill"
    assert all(one != other for one, other in pairwise(states))


def test_what_the_server_says_cannot_steer_the_terminal(server: MoorageServer, moorage: Run) -> None:
    hostile = "\x1b]0;owned\x07 \x9b2J \u202eevil \u2028 \x85 \r\n✓ succeeded"
    operation = server.add_operation(status="running", stage=hostile)
    fault = {"code": hostile, "detail": hostile}
    once(
        server.watched,
        lambda: server.move(
            operation,
            step=step("test", "fault", fault=fault),
            status="failed",
            error={**fault, "remedy": hostile},
        ),
    )
    done = moorage("operation", "watch", operation["id"])
    assert done.returncode == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", done.stdout)
    assert not re.search(r"^✓", done.stdout, re.M)


def interrupted(
    command: list[str], environment: dict[str, str], arguments: list[str], *, after: Callable[[], bool]
) -> tuple[int, str]:
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    wait_until(after)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    return process.returncode, complaint


def test_an_interrupt_ends_the_watching_and_not_the_operation(
    server: MoorageServer, command: list[str], environment: dict[str, str]
) -> None:
    operation = server.add_operation(status="running")
    code, complaint = interrupted(
        command,
        environment,
        ["operation", "watch", operation["id"]],
        after=lambda: bool(server.streamed_after),
    )
    assert code == 130
    assert f"moorage operation cancel {operation['id']}" in complaint
    assert "Traceback" not in complaint
    assert operation["status"] == "running"
    assert not [request for request in server.requests if request[0] == "POST"]


def test_a_terminal_is_redrawn_and_ends_with_the_same_summary(
    server: MoorageServer, command: list[str], environment: dict[str, str]
) -> None:
    operation = server.add_operation(status="running", stage="analyze")
    once(server.watched, lambda: work(server, operation, pause_s=1.6))
    above, below = pty.openpty()
    settings = {**environment, "TERM": "xterm", "COLUMNS": "60", "LINES": "20"}
    process = subprocess.Popen(
        [*command, "operation", "watch", operation["id"]],
        cwd=ROOT,
        env=settings,
        stdin=below,
        stdout=below,
        stderr=below,
    )
    os.close(below)
    shown = b""
    while True:
        try:
            chunk = os.read(above, 4096)
        except OSError:  # Linux says so when the last writer of a PTY is gone
            break
        shown += chunk
    os.close(above)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert re.search(r"\r\x1b\[K… analyze +\(1 s\)", text), text
    assert marks(re.sub(r"\r\x1b\[K", "\n", text)) == EACH_ONCE
    assert "✓ succeeded" in text
