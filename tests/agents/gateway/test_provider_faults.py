"""Providers that break off, stall, never end or send elsewhere: what the client is told, and what is booked."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest
from django.db import connection

from agents.gateway.endpoint import Patience
from agents.gateway.models import ModelCall
from tests.agents.gateway.conftest import KEY, PATHS, Make, booked
from tests.fakes.llm_server import Cut, Fail, LlmServer, Raw, Say, Slowly, Verbatim
from tests.patience import eventually

each_wire = pytest.mark.parametrize("wire", list(PATHS))
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
FIRST = b'data: {"model": "gpt-5", "choices": [{"index": 0, "delta": {"content": "Good"}}]}\n\n'
LAST = (
    b'data: {"model": "gpt-5", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b'data: {"model": "gpt-5", "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 200}}\n\n'
)
COST = 1000 * 1250 + 200 * 10_000


def read(answer: httpx.Response) -> tuple[str, bool]:
    """All that came, and whether it came to its end."""
    parts: list[str] = []
    try:
        parts.extend(answer.iter_text())
    except httpx.RemoteProtocolError:
        return "".join(parts), False
    return "".join(parts), True


def fault_in(text: str) -> dict[str, Any]:
    """The fault in the last event of a stream, as our own agents find it."""
    last = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))["error"]
    found: dict[str, Any] = (json.loads(last) if isinstance(last, str) else last)["moorage"]
    return found


def ended() -> ModelCall:
    """The only call, once it is settled."""
    found = eventually(lambda: ModelCall.objects.exclude(state="reserved").first())
    assert isinstance(found, ModelCall)
    return found


@each_wire
def test_a_stream_that_breaks_off_says_why_and_does_not_look_whole(
    server: LlmServer, make_client: Make, wire: str
) -> None:
    server.script.append(Cut())
    with make_client().streaming(wire) as answer:
        text, whole = read(answer)
    assert not whole
    assert fault_in(text)["code"] == "llm.unavailable"
    assert (ended().state, ended().error) == ("lost", "llm.unavailable")
    assert booked() == (0, ended().held_nanos)


@pytest.mark.parametrize("patience", [Patience(stream_s=1.0)])
@pytest.mark.parametrize("again", [b": busy\n\n", FIRST, b" "], ids=["comments", "words", "bytes"])
def test_a_stream_that_never_ends_is_ended(server: LlmServer, make_client: Make, again: bytes) -> None:
    server.script.append(Verbatim((STREAM, FIRST), again=again))
    with make_client().streaming() as answer:
        text, whole = read(answer)
    assert not whole
    assert "Good" in text
    assert fault_in(text)["code"] == "llm.timeout"
    assert booked() == (0, ended().held_nanos)


def test_a_provider_that_falls_silent_within_its_answer_is_left(
    server: LlmServer, make_client: Make, settings: Any
) -> None:
    settings.MODEL_TIMEOUT_S = 0.5
    silence = threading.Event()
    server.script.extend([Verbatim((STREAM, silence)), Verbatim((STREAM, FIRST, silence))])
    client = make_client()
    for asked in ("before a word", "after one"):
        with client.streaming(text=asked) as answer:
            text, whole = read(answer)
        assert not whole
        assert fault_in(text)["code"] == "llm.timeout"
    silence.set()
    eventually(lambda: ModelCall.objects.filter(state="lost", error="llm.timeout").count() == 2)
    assert booked()[0] == 0


def test_what_the_whole_answer_cost_is_booked_though_its_end_was_lost(server: LlmServer, make_client: Make) -> None:
    chunked = STREAM.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    body = FIRST + LAST
    server.script.append(Verbatim((chunked, f"{len(body):x}\r\n".encode(), body, b"\r\n")))
    with make_client().streaming() as answer:
        text, whole = read(answer)
    assert (whole, "Good" in text) == (False, True)
    call = ended()
    assert (call.state, call.usage_known, call.input_tokens, call.output_tokens) == ("lost", True, 1000, 200)
    assert booked() == (0, COST)


def test_a_connection_that_stays_open_behind_the_end_keeps_nobody_waiting(server: LlmServer, make_client: Make) -> None:
    server.script.append(Verbatim((STREAM, FIRST, LAST, b"data: [DONE]\n\n"), again=b": still here\n\n"))
    with make_client().streaming() as answer:
        text, whole = read(answer)
    assert (whole, "[DONE]" in text) == (True, True)
    assert (ended().state, booked()) == ("settled", (0, COST))


def test_an_answer_without_done_is_whole_and_replayed(server: LlmServer, make_client: Make) -> None:
    server.script.append(Verbatim((STREAM, FIRST, LAST)))
    client = make_client()
    with client.streaming() as answer:
        assert read(answer)[1]
    assert booked() == (0, COST)
    again = make_client(run=client.run)
    with again.streaming() as answer:
        assert "Good" in read(answer)[0]
        assert answer.headers["x-moorage-replayed"] == "1"
    assert len(server.requests) == 1


def test_what_is_said_before_the_answer_is_no_answer(server: LlmServer, make_client: Make) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"
    server.script.append(Verbatim((early, STREAM, FIRST, LAST, b"data: [DONE]\n\n")))
    with make_client().streaming() as answer:
        assert "Good" in read(answer)[0]
    assert booked() == (0, COST)


def test_a_redirect_takes_neither_the_key_nor_the_question_to_another_host(
    server: LlmServer, make_client: Make
) -> None:
    client = make_client()
    with LlmServer(*[Say("stolen")] * 5) as other:
        for status in (301, 302, 303, 307, 308):
            server.script.append(Fail(status, {"location": f"{other.base_url('openai')}/chat/completions"}))
            said = client.ask(text=str(status))
            assert said.status_code == 502
            assert "location" not in said.headers
        assert not other.requests
    assert booked() == (0, 0)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_a_request_that_was_accepted_oddly_is_charged_as_reserved(
    server: LlmServer, make_client: Make, status: int
) -> None:
    server.script.append(Fail(status))
    assert make_client().ask().status_code == 502
    assert (ended().state, ended().error) == ("lost", f"http.{status}")
    assert booked() == (0, ended().held_nanos)


def test_a_refusal_whose_words_are_lost_is_one_and_costs_nothing(server: LlmServer, make_client: Make) -> None:
    server.script.append(Verbatim((b"HTTP/1.1 500 Oops\r\ncontent-length: 900\r\n\r\nhalf",)))
    assert make_client().ask().status_code == 500
    assert (ended().state, ended().error) == ("failed", "http.500")
    assert booked() == (0, 0)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"\x1f\x8b\x08 no gzip", b"\xff" * 100, b"null", b'"Yes."'])
def test_what_is_no_answer_is_charged_as_reserved_and_never_replayed(
    server: LlmServer, make_client: Make, body: bytes
) -> None:
    server.script.append(Raw(body))
    client = make_client()
    assert client.ask().status_code == 200
    assert ended().error == "reply.incomplete"
    assert booked() == (0, ended().held_nanos)
    assert make_client(run=client.run).ask().status_code == 500  # asked anew: the script is over


def test_a_compressed_answer_that_cannot_be_opened_is_broken_off(server: LlmServer, make_client: Make) -> None:
    server.script.append(Raw(b"this is no gzip", headers={"content-encoding": "gzip"}))
    with pytest.raises(httpx.RemoteProtocolError):
        make_client().ask()
    assert (ended().state, ended().error) == ("lost", "llm.unavailable")


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}"], ids=["newline", "blank"])
def test_a_key_from_a_file_may_have_a_line_end(server: LlmServer, make_client: Make, settings: Any, key: str) -> None:
    settings.MODEL_ENVIRONMENT = settings.MODEL_ENVIRONMENT | {"OPENAI_API_KEY": key}
    server.script.append(Say("Hello."))
    assert make_client().ask().status_code == 200
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-ключ"])
def test_a_key_that_cannot_be_sent_costs_nothing_and_holds_nothing(
    server: LlmServer, make_client: Make, settings: Any, key: str
) -> None:
    settings.MODEL_ENVIRONMENT = settings.MODEL_ENVIRONMENT | {"OPENAI_API_KEY": key}
    said = make_client().ask()
    assert said.status_code in {500, 503}
    assert "sk-" not in said.text
    assert ended().state == "failed"
    assert booked() == (0, 0)


def test_a_settlement_waits_for_a_database_that_comes_back(server: LlmServer, make_client: Make) -> None:
    gate = threading.Event()
    server.script.append(Slowly(Say("Good morning.", input_tokens=1000, output_tokens=200), first=260, gate=gate))
    with make_client().streaming() as answer:
        parts = answer.iter_text()
        next(parts)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE agents_account RENAME TO away")
            gate.set()
            seen = next(parts)
            assert "stop" in seen
            assert "[DONE]" not in seen  # whoever has the end can rely on the ledger
            cursor.execute("ALTER TABLE away RENAME TO agents_account")
        assert "[DONE]" in "".join(parts)
    assert (ended().state, booked()) == ("settled", (0, COST))


@pytest.mark.parametrize(
    ("answered", "cost"),
    [("gpt-5", COST), ("gpt-5-2025-08-07", COST), ("gpt-4o-mini", COST), ("unheard-of", COST), ("", COST),
     ("o1", 1000 * 15_000 + 200 * 60_000)],
)  # fmt: skip
def test_another_model_than_was_asked_is_taken_down_and_never_cheaper(
    server: LlmServer, make_client: Make, answered: str, cost: int
) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}
    usage = {"prompt_tokens": 1000, "completion_tokens": 200}
    server.script.append(Raw(json.dumps({"model": answered, "choices": [choice], "usage": usage}).encode()))
    assert make_client().ask().status_code == 200
    call = ended()
    assert (call.model, call.answered, call.cost_nanos) == ("openai/gpt-5", answered, cost)
    assert call.price.startswith("openai/o1" if answered == "o1" else "openai/gpt-5 ")
    assert booked() == (0, cost)


def test_an_operators_price_of_what_was_asked_stands_whoever_answered(
    server: LlmServer, make_client: Make, settings: Any, tmp_path: Any
) -> None:
    own = tmp_path / "prices.json"
    own.write_text(json.dumps({"openai/gpt-5": {"since": "2026-01-01", "input": 1, "output": 2}}))
    settings.MODEL_PRICES = str(own)
    with_usage = FIRST.replace(b'"gpt-5"', b'"o1"') + LAST.replace(b'"gpt-5"', b'"o1"')
    server.script.append(Verbatim((STREAM, with_usage)))
    with make_client().streaming() as answer:
        assert read(answer)[1]
    assert (ended().answered, ended().cost_nanos) == ("o1", 1000 * 1000 + 200 * 2000)
