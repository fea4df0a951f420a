"""Clients that leave, stop reading, send too much, too slowly or oddly; tokens, and gateways, that end in between."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.utils import timezone

from agents.gateway import ledger, tokens
from agents.gateway.clients import STRANGERS_BYTES
from agents.gateway.endpoint import Patience
from agents.gateway.models import ModelCall, RunToken
from agents.gateway.tokens import Run
from agents.gateway.wires import LARGEST_BODY
from tests.agents.gateway.conftest import KEY, LABELS, PATHS, Client, Make, booked, question
from tests.fakes.llm_server import LlmServer, Say, Slowly, Verbatim
from tests.gateway_server import gateway_server
from tests.patience import eventually

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
LONG = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"x" * 65_000)
END = (
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 200}}\n\ndata: [DONE]\n\n'
)
COST = 1000 * 1250 + 200 * 10_000


@contextmanager
def connected(client: Client, *, length: str, token: str | None = None, path: str = PATHS["chat"]) -> Iterator[Any]:
    """A connection on which a request has begun: its head is sent, the body is for the test to send."""
    where = urlsplit(client.url)
    assert where.hostname is not None
    with socket.create_connection((where.hostname, where.port or 0), timeout=20) as line:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token or client.token}\r\n{length}\r\n\r\n"
        line.sendall(head.encode())
        yield line


def status(line: socket.socket) -> int:
    """Of the answer on this connection."""
    return int(line.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("patience", [Patience(reader_s=0.5)])
def test_a_client_that_does_not_read_holds_up_nobody_and_is_nobodys_fault(server: LlmServer, make_client: Make) -> None:
    server.script.extend([Verbatim((STREAM, *[LONG] * 200, END))] * 6)  # a breaker opens at the fifth failure
    client = make_client()
    body = json.dumps(question("chat") | {"stream": True}).encode()
    for number in range(1, 7):
        with connected(client, length=f"content-length: {len(body)}") as line:
            line.sendall(body)
            eventually(lambda: ModelCall.objects.filter(state="settled").count() == number)  # noqa: B023 - at once
    assert booked() == (0, 6 * COST)


@pytest.mark.parametrize(
    ("length", "token", "said"),
    [
        (f"content-length: {LARGEST_BODY + 1}", None, 413),
        (f"content-length: {LARGEST_BODY + 1}", "mrt_guess", 413),
        (f"content-length: {STRANGERS_BYTES + 1}", "mrt_guess", 401),
        ("transfer-encoding: chunked", "mrt_guess", 401),
        ("transfer-encoding: chunked", None, 413),
    ],
)
def test_a_request_is_taken_in_only_as_far_as_it_can_be_meant(
    server: LlmServer, make_client: Make, length: str, token: str | None, said: int
) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    most = ((LARGEST_BODY if token is None else STRANGERS_BYTES) + (16 << 20)) // 0x10000
    with connected(make_client(), length=length, token=token) as line:
        sent = 0
        try:
            while "chunked" in length and sent < most:  # an endless one; it is cut off before that
                line.sendall(chunk)
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            assert sent < most
        else:
            assert sent < most
            assert status(line) == said
    assert not server.requests


@pytest.mark.parametrize("patience", [Patience(request_s=0.5)])
def test_a_request_that_does_not_come_is_not_waited_for(server: LlmServer, make_client: Make) -> None:
    for length in ("content-length: 100", "transfer-encoding: chunked"):
        with connected(make_client(), length=length) as line:
            assert status(line) == 408
    assert not server.requests


def test_a_client_that_leaves_before_its_request_is_whole_leaves_nothing_behind(
    server: LlmServer, make_client: Make
) -> None:
    client = make_client()
    with connected(client, length="content-length: 100") as line:
        line.sendall(b'{"model": "gpt-5"')
    server.script.append(Say("Hello."))
    assert client.ask().status_code == 200
    assert ModelCall.objects.count() == 1


def test_a_client_that_leaves_while_it_waits_for_money_is_not_asked_for(
    server: LlmServer, make_client: Make, settings: Any
) -> None:
    settings.BUDGET = {"run": 0.0015}
    client = make_client()
    gate = threading.Event()
    server.script.extend([Slowly(Say("one"), first=200, gate=gate), Say("two")])
    with client.streaming(text="the first holds it all") as first:
        with pytest.raises(httpx.ReadTimeout):
            client.ask(text="nobody waits for this one", output=90, timeout_s=1.0)
        gate.set()
        first.read()
    server.script.clear()
    server.script.append(Say("three"))
    assert client.ask(text="a last one", output=50).status_code == 200
    assert not server.holding("nobody waits for this one")
    assert ModelCall.objects.count() == 2


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_token_that_ends_within_an_answer_ends_after_it(server: LlmServer, make_client: Make, end: str) -> None:
    gate = threading.Event()
    server.script.append(Slowly(Say("Good morning.", input_tokens=1000, output_tokens=200), first=260, gate=gate))
    client = make_client()
    with client.streaming() as answer:
        parts = answer.iter_text()
        next(parts)
        if end == "expired":
            RunToken.objects.update(expires_at=timezone.now())
        else:
            tokens.revoke(client.run.run_id, now=timezone.now())
        gate.set()
        assert "[DONE]" in "".join(parts)
    assert booked() == (0, COST)
    assert client.ask(text="Again.").status_code == 401
    assert len(server.requests) == 1


def test_a_token_buys_nothing_on_another_runs_account(server: LlmServer, make_client: Make, settings: Any) -> None:
    settings.BUDGET = {"run": 0.0015}
    server.script.extend([Say("a", input_tokens=0, output_tokens=90), Say("b", input_tokens=0, output_tokens=90)])
    one, other = make_client(), make_client()
    assert one.ask(output=90).status_code == 200
    assert one.ask(output=90, text="More.").status_code == 402
    assert other.ask(output=90).status_code == 200
    spent = dict(ledger.ModelCall.objects.values_list("run_id", "cost_nanos"))
    assert spent == {one.run.run_id: 900_000, other.run.run_id: 900_000}


@pytest.mark.parametrize(
    "model", ["a\u0000b", "\ud800", "gpt-5\u202e", "../../gpt-5", "gpt-5\r\nx: y", "GPT-5", "gpt-5 ", "openai/gpt-5"]
)
def test_a_model_of_an_odd_name_is_refused_and_the_refusal_can_be_kept(
    server: LlmServer, make_client: Make, model: str
) -> None:
    client = make_client()
    said = client.ask(model=model)
    assert (said.status_code, said.json()["error"]["code"]) == (403, "gateway.model_not_allowed")
    refused = RunToken.objects.get().refused
    assert refused is not None
    assert refused["code"] == "gateway.model_not_allowed"
    assert not server.requests


def test_a_model_may_be_called_what_its_provider_calls_it(server: LlmServer, make_client: Make, settings: Any) -> None:
    odd = "org/Modèle-9:free@eu~1"
    settings.MODEL_ENVIRONMENT = settings.MODEL_ENVIRONMENT | {"MOORAGE_MODELS": f"openai:{odd}"}
    server.script.append(Say("Hello."))
    assert make_client(models=[f"openai/{odd}"]).ask(model=odd).status_code == 200
    assert server.requests[0].body["model"] == odd
    assert ModelCall.objects.get().model == f"openai/{odd}"


def test_a_header_that_is_no_ascii_is_no_trouble(server: LlmServer, make_client: Make) -> None:
    server.script.append(Say("Hello."))
    client = make_client()
    headers = {b"authorization": f"Bearer {client.token}".encode(), b"openai-beta": "é✓".encode()}
    said = httpx.post(client.url + PATHS["chat"], json=question("chat"), headers=headers, trust_env=False)
    assert said.status_code == 200
    assert booked()[0] == 0


def test_only_get_and_post_are_served(server: LlmServer, make_client: Make) -> None:
    client = make_client()
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        url = client.url + PATHS["chat"]
        said = httpx.request(method, url, json=question("chat"), headers=client.headers, trust_env=False)
        assert said.status_code == 404
    assert not server.requests


def test_a_gateway_that_is_told_to_stop_settles_what_it_breaks_off(
    server: LlmServer, transactional_db: None, configured: None
) -> None:
    gate = threading.Event()
    server.script.append(Slowly(Say("Good morning."), first=260, gate=gate))
    run = Run(run_id=uuid.uuid4(), lineage="x")
    with gateway_server() as url:
        client = Client(url, tokens.issue(run, models=LABELS, now=timezone.now(), ttl_s=60), run)
        with client.streaming() as answer:
            next(answer.iter_raw())
    gate.set()
    call = ModelCall.objects.get()
    assert (call.state, call.error) == ("lost", "gateway.broke_off")
    assert booked() == (0, call.held_nanos)


def test_no_answer_and_no_refusal_holds_the_key(server: LlmServer, make_client: Make) -> None:
    client = make_client()
    server.script.append(Say("Hello."))
    said = [client.ask(), client.ask(model=KEY), client.ask(n=99), client.ask("messages", tools=[{"type": KEY}])]
    assert said[0].status_code == 200
    assert all(KEY not in json.dumps(dict(one.headers)) for one in said)
