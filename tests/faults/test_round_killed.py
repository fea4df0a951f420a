"""kill -9 of the worker inside a round of rework: one commit for the round, one branch, one pull request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.github_server import GitHubServer, github_server
from tests.flows.repositories import CALC, PROJECT, make
from tests.flows.stack import IN_A_HURRY, Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.needs_bubblewrap, pytest.mark.timeout(900)]

TOKEN = "ghp_averysecrettoken0123456789"
MENDED = CALC.replace("def sub(a, b):\n    return a + b", "def sub(a, b):\n    return a - b")
TEMPLATE = """\
apiVersion: moorage/v1
kind: Template
name: with-agent
version: 1.0.0
extends: python
spec:
  isolation: {min: process}
  engine:
    kind: external
    external: {program: [python3, agent.py], name: fake-agent, mode: command}
"""
AGENT = """\
# Mends sub(); where it is mended, it says what add() is, as the check wants it.
with open("calc.py") as file:
    text = file.read()
if "a - b" in text:
    text = "# the sum\\n" + text
else:
    text = text.replace("def sub(a, b):\\n    return a + b", "def sub(a, b):\\n    return a - b")
with open("calc.py", "w") as file:
    file.write(text)
"""


@pytest.fixture(scope="module")
def forge() -> Iterator[GitHubServer]:
    with github_server(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def stack(forge: GitHubServer) -> Iterator[Stack]:
    """One for all; every test leaves it empty."""
    settings = {
        "MOORAGE_ISOLATION": "process", "MOORAGE_WORKER_PROCESSES": "1", "MOORAGE_GITHUB_URL": forge.url,
        "MOORAGE_GITHUB_TOKEN": TOKEN,
    }  # fmt: skip
    with running_stack({"with-agent": TEMPLATE}, beats=1, **IN_A_HURRY, **settings) as running:
        yield running


@pytest.mark.parametrize("stage", ["commit", "pr"])
def test_a_worker_that_is_killed_in_a_round_leaves_one_commit_one_branch_and_one_pull_request(
    stack: Stack, forge: GitHubServer, stage: str
) -> None:
    name = f"team/{stage}"
    remote = make(stack.remotes / f"{name}.git", {**PROJECT, "agent.py": AGENT})
    forge.repositories[name], forge.git = {"main"}, remote.path
    forge.pulls.clear()
    asked = {"requirements": "sub() must subtract.", "template": "with-agent", "about": {"forge": "github"}}
    operation = stack.ask("submit", remote=str(remote.path), name=stage, **asked)
    assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())
    first = stack.ask("operation", id=operation)
    assert first["status"] == "succeeded", (first["error"], stack.ask("steps", id=operation))
    delivered = first["result"]["commit"]
    assert remote.git("show", f"{delivered}:calc.py") == MENDED.strip()

    forge.check(delivered, "lint", "failure", job=11)
    stack.ask("look", id=operation)
    assert stack.ask("kill_in", id=operation, stage=stage, parts=["worker"], time_number=2), stack.log()
    assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())

    row, steps = stack.ask("operation", id=operation), stack.ask("steps", id=operation)
    assert row["status"] == "succeeded", (row["error"], steps)
    assert [outcome for at, outcome in steps if at == stage] == ["done", "lost", "done"]
    assert [outcome for at, outcome in steps if at == "code"] == ["done", "done"], "the program worked once for it"
    commit = row["result"]["commit"]
    assert remote.branches() == {"main": row["result"]["base_commit"], row["result"]["branch"]: commit}
    assert remote.git("rev-parse", f"{commit}^") == delivered
    assert remote.git("rev-parse", f"{commit}^{{tree}}") == row["result"]["tree"]
    assert remote.git("show", f"{commit}:calc.py") == f"# the sum\n{MENDED}".strip()
    assert (len(forge.pulls), stack.ask("pull_requests", id=operation)) == (1, 1)
    assert stack.ask("left_held") == []
