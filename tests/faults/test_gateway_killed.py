"""kill -9 and SIGTERM of the real gateway in mid-stream: the ledger is what the provider saw, and nothing is held."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest

from operations.models import Stage
from tests.agents.gateway.conftest import question
from tests.fakes.liar import Liar, replace
from tests.fakes.llm_server import Behaviour, Hang, LlmServer, Request, Say, Slowly, Verbatim
from tests.flows.repositories import PROJECT, make
from tests.flows.stack import IN_A_HURRY, Stack, running_stack
from tests.patience import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.timeout(900)]
MEND = replace("calc.py", "def sub(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n")
CALLS = 4  # the plan, the edit, that it is done, the review
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
LONG = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"x" * 65_000)
MOST_GROWTH = 48 << 20  # bytes: a kept reply has 8 MiB, and what is read at a time is small


@pytest.fixture(scope="module")
def one_provider() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


@pytest.fixture(scope="module")
def stack(one_provider: LlmServer) -> Iterator[Stack]:
    """One for all; every test leaves nothing held."""
    models = {
        "MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": one_provider.base_url("openai"),
        "MOORAGE_ISOLATION": "bare", "MOORAGE_ALLOW_BARE": "1", "MOORAGE_WORKER_PROCESSES": "1",
    }  # fmt: skip
    with running_stack(beats=1, **IN_A_HURRY, **models) as running:
        yield running


@pytest.fixture
def provider(one_provider: LlmServer) -> LlmServer:
    """It, without anything of an earlier test."""
    assert not one_provider.script
    one_provider.requests.clear()
    return one_provider


@pytest.fixture
def booked(stack: Stack) -> Callable[[], dict[str, Any]]:
    """What the ledger says, less what it said before this test."""
    before = stack.ask("ledger")

    def since() -> dict[str, Any]:
        now = stack.ask("ledger")
        less = {name: (now[name] or 0) - (before[name] or 0) for name in ("cost", "spent")}
        return {"states": dict(Counter(now["states"]) - Counter(before["states"])), **less, "held": now["held"]}

    return since


def end_gateway(stack: Stack, number: signal.Signals) -> None:
    """Send the signal, and wait for the next gateway."""
    pid = stack.supervisor.pids()["gateway"]
    os.kill(pid, number)
    eventually(lambda: stack.supervisor.pids().get("gateway", pid) != pid)
    stack.supervisor.wait_ready()


def test_an_agents_run_goes_on_after_its_gateway_was_killed(
    stack: Stack, provider: LlmServer, booked: Callable[[], dict[str, Any]]
) -> None:
    liar, killed = Liar((MEND,)), threading.Event()

    def answer(request: Request) -> Behaviour:
        coding = any(tool["function"]["name"] == "EditFiles" for tool in request.body["tools"])
        return Hang(100) if coding and not killed.is_set() else liar(request)

    provider.otherwise = answer
    remote = make(stack.remotes / "calc.git", PROJECT)
    operation = stack.ask("submit", remote=str(remote.path), requirements="sub() must subtract.", name="killed")
    assert stack.ask("wait_stage", id=operation, stage=Stage.CODE.value), stack.log()
    eventually(lambda: len(provider.requests) == 2)
    killed.set()
    end_gateway(stack, signal.SIGKILL)

    assert stack.ask("wait", ids=[operation]), (stack.ask("operation", id=operation), stack.log())

    row = stack.ask("operation", id=operation)
    assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation))
    eventually(lambda: booked()["held"] == 0)
    ledger = booked()
    assert ledger["states"] == {"settled": CALLS, "lost": 1}
    assert sum(ledger["states"].values()) == len(provider.requests)
    assert ledger["spent"] == ledger["cost"]


def test_whatever_ends_a_gateway_the_client_notices_and_nothing_stays_held(
    stack: Stack, provider: LlmServer, booked: Callable[[], dict[str, Any]]
) -> None:
    url, token = stack.ask("model_token", models=["openai/gpt-5"])
    headers, body = {"authorization": f"Bearer {token}"}, question("chat") | {"stream": True}
    gate = threading.Event()
    for number in (signal.SIGTERM, signal.SIGKILL):
        provider.script.append(Slowly(Say("Good morning."), first=260, gate=gate))
        with httpx.stream("POST", url, json=body, headers=headers, trust_env=False, timeout=60) as answer:
            parts = answer.iter_raw()
            assert next(parts)
            end_gateway(stack, number)
            with pytest.raises(httpx.RemoteProtocolError):
                b"".join(parts)
    gate.set()
    provider.script.append(Say("Good morning."))
    eventually(lambda: httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60).status_code == 200)
    eventually(lambda: booked()["held"] == 0)
    ledger = booked()
    assert ledger["states"] == {"settled": 1, "lost": 2}
    assert (len(provider.requests), ledger["spent"]) == (3, ledger["cost"])


def test_clients_that_read_slowly_do_not_fill_the_gateways_memory(stack: Stack, provider: LlmServer) -> None:
    url, token = stack.ask("model_token", models=["openai/gpt-5"])
    headers, body = {"authorization": f"Bearer {token}"}, question("chat") | {"stream": True}
    gateway = psutil.Process(stack.supervisor.pids()["gateway"])
    provider.script.append(Verbatim((STREAM, *[LONG] * 20)))
    httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)
    before = gateway.memory_info().rss
    provider.script.append(Verbatim((STREAM,), again=LONG * 16, every_s=0.001))
    said, read, most = -1, 0, 0
    with httpx.stream("POST", url, json=body, headers=headers, trust_env=False, timeout=60) as answer:
        while said != provider.recited:  # until it can say no more: whatever lies between is full
            said = provider.recited
            time.sleep(1)
        most = gateway.memory_info().rss
        for part in answer.iter_raw(1 << 20):
            read += len(part)
            most = max(most, gateway.memory_info().rss)
            if read > 256 << 20:
                break
    assert most - before < MOST_GROWTH, (most - before, read)
