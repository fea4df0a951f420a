"""kill -9 of the worker while an agent program works in its berth."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.fakes import acp_agent
from tests.flows.repositories import PROJECT, make
from tests.flows.stack import IN_A_HURRY, running_stack
from tests.patience import eventually
from tests.resources.sandboxes.conftest import until_seen

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.needs_bubblewrap, pytest.mark.timeout(900)]
PROCESS = {"MOORAGE_ISOLATION": "process", "MOORAGE_WORKER_PROCESSES": "1"}
TEMPLATE = """\
apiVersion: moorage/v1
kind: Template
name: with-agent
version: 1.0.0
extends: python
spec:
  isolation: {{min: process}}
  engine:
    kind: external
    external: {{program: [python3, agent.py, works, "+{mark}"], name: fake-agent}}
"""


def test_the_program_dies_with_its_worker_and_its_successor_does_the_work_once() -> None:
    mark = f"3{os.getpid()}.5"  # seconds of a sleep that no attempt outlives, since the program ends it
    templates = {"with-agent": TEMPLATE.format(mark=mark)}
    with running_stack(templates, beats=1, **IN_A_HURRY, **PROCESS) as stack:
        remote = make(stack.remotes / "calc.git", {**PROJECT, "agent.py": Path(acp_agent.__file__).read_text()})
        operation = stack.ask(
            "submit", remote=str(remote.path), requirements="sub() must subtract.", name="calc", template="with-agent"
        )
        (first,) = until_seen(mark, within_s=240)
        assert stack.ask("kill_in", id=operation, stage="code", parts=["worker"])
        eventually(lambda: not psutil.pid_exists(first))

        assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())
        row = stack.ask("operation", id=operation)
        assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation))
        outcomes = [outcome for stage, outcome in stack.ask("steps", id=operation) if stage == "code"]
        assert outcomes == ["lost", "done"]
        result = row["result"]
        assert remote.branches() == {"main": result["base_commit"], result["branch"]: result["commit"]}
        assert stack.ask("pull_requests", id=operation) == 1
        assert stack.ask("left_held") == []
