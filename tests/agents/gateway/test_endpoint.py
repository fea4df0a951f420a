"""The gateway over real HTTP: who may ask what, in each dialect, and what comes back."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from typing import Any

import httpx
import pytest
from django.utils import timezone

from agents.gateway import tokens
from agents.gateway.models import Account, ModelCall, RunToken
from tests.agents.gateway.conftest import KEY, MODELS, PATHS, Make, booked
from tests.fakes.llm_server import Behaviour, Cut, Fail, Hang, LlmServer, Raw, Say, Slowly
from tests.patience import eventually

each_wire = pytest.mark.parametrize("wire", list(PATHS))
each_way = pytest.mark.parametrize("streamed", [False, True])


ENDS = {"chat": b"[DONE]", "responses": b"}", "messages": b'"message_stop"}', "ollama": b"}"}


@each_wire
@each_way
def test_an_answer_passes_unchanged_and_its_usage_is_booked(
    server: LlmServer, make_client: Make, wire: str, streamed: bool
) -> None:
    server.script.append(Say("Good morning.", input_tokens=1000, output_tokens=200, cached_tokens=400))
    said = make_client().ask(wire, stream=streamed)
    assert said.status_code == 200, said.text
    assert "Good morning." in said.text
    call = ModelCall.objects.get()
    assert (call.state, call.input_tokens, call.output_tokens) == ("settled", 1000, 200)
    assert call.cached_tokens == (0 if wire == "ollama" else 400)
    dollars = {"chat": 2.80, "responses": 2.80, "messages": 1.64, "ollama": 0}[wire]  # a thousandth of it
    assert call.cost_nanos == round(dollars * 1_000_000)
    assert booked() == (0, call.cost_nanos)
    sent = server.requests[0]
    assert KEY in (sent.headers.get("authorization", "") + sent.headers.get("x-api-key", "")) or wire == "ollama"
    assert "mrt_" not in json.dumps(sent.headers)


@each_wire
def test_a_stream_arrives_word_by_word_and_not_at_its_end(server: LlmServer, make_client: Make, wire: str) -> None:
    """In each dialect, and with a tool call in it: what programs stream."""
    gate = threading.Event()
    say = Say("Good morning.", calls=(("exec", {"cmd": "make " * 200}),), input_tokens=1000, output_tokens=200)
    server.script.append(Slowly(say, first=1300, gate=gate))
    client = make_client()
    body = {"model": MODELS[wire], "messages": [], "input": "Hello.", "stream": True, "max_tokens": 100}
    headers = {"authorization": f"Bearer {client.token}"}
    with httpx.stream("POST", client.url + PATHS[wire], json=body, headers=headers, trust_env=False) as answer:
        parts = answer.iter_raw()
        assert next(parts)
        assert not gate.is_set()
        gate.set()
        rest = b"".join(parts)
    assert (b"make make" in rest) or wire == "ollama"  # whose calls come in one piece, with the first one
    assert rest.rstrip().endswith(ENDS[wire])
    call = eventually(lambda: ModelCall.objects.exclude(state="reserved").first())
    assert (call.state, call.usage_known, call.input_tokens, call.output_tokens) == ("settled", True, 1000, 200)


def test_the_usage_that_the_client_did_not_ask_for_is_booked_and_not_shown(
    server: LlmServer, make_client: Make
) -> None:
    client = make_client()
    server.script.extend([Say("Hello."), Say("Hello.")])
    assert '"usage"' not in client.ask(stream=True).text
    assert '"usage"' in client.ask(stream=True, stream_options={"include_usage": True}, text="Again.").text
    assert all(request.body["stream_options"]["include_usage"] for request in server.requests)
    assert set(ModelCall.objects.values_list("input_tokens", flat=True)) == {11}


@each_wire
def test_without_a_valid_token_nothing_reaches_the_provider(server: LlmServer, make_client: Make, wire: str) -> None:
    client = make_client()
    over = make_client(ttl_s=-1)
    tokens.revoke(client.run.run_id, now=timezone.now())
    for headers in (
        {}, {"authorization": "Bearer"}, {"authorization": f"Bearer {KEY}"}, {"x-api-key": "mrt_guess"},
        {"authorization": f"Bearer {client.token}"}, {"x-api-key": over.token},
        {"authorization": f"Basic {over.token}"},
    ):  # fmt: skip
        said = client.ask(wire, headers=headers)
        assert said.status_code == 401
        assert "token" in said.text
        assert "mrt_" not in said.text
    assert not server.requests
    assert not ModelCall.objects.exists()


def test_only_digests_of_tokens_are_kept(make_client: Make) -> None:
    token = make_client().token
    assert token not in repr(list(RunToken.objects.values()))


@each_wire
def test_a_model_that_is_not_allowed_is_refused_by_name(server: LlmServer, make_client: Make, wire: str) -> None:
    said = make_client(models=["openai/other"]).ask(wire)
    assert said.status_code == 403
    assert "openai/other" in said.text
    assert make_client(models=["openai/not-configured"]).ask(wire, model="not-configured").status_code == 403
    assert not server.requests


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    """A question made of these parts."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("wire", "more"),
    [
        ("chat", {"n": 9}),
        ("chat", {"n": True}),
        ("chat", {"max_tokens": 0}),
        ("chat", {"max_tokens": "many"}),
        ("chat", {"web_search_options": {"x": 1}}),
        ("chat", {"service_tier": "priority"}),
        ("chat", {"stream": "yes"}),
        ("chat", {"stream": True, "stream_options": [1]}),
        ("responses", {"background": True}),
        ("responses", {"previous_response_id": "resp_1"}),
        ("responses", {"tools": [{"type": "web_search"}]}),
        ("responses", {"tools": [7]}),
        ("responses", {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]}]}),
        ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("messages", {"mcp_servers": [{}]}),
        ("messages", {"speed": "fast"}),
        ("messages", {"inference_geo": "us"}),
        ("messages", said({"type": "document", "source": {"type": "url", "url": "https://example.org/book.pdf"}})),
        ("messages", said({"type": "document", "source": {"type": "file", "file_id": "file_1"}})),
        ("messages", said({"type": "container_upload", "file_id": "file_1"})),
        ("messages", said({"type": "tool_result", "content": [{"type": "document", "source": {"url": "x"}}]})),
        ("chat", said({"type": "file", "file": {"file_id": "file-1"}})),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]}),
        ("ollama", {"options": "none"}),
        ("chat", {"model": None}),
        ("chat", {"model": "x" * 200}),
    ],
)
def test_what_has_no_foreseeable_price_is_refused_before_it_is_sent(
    server: LlmServer, make_client: Make, wire: str, more: dict[str, Any]
) -> None:
    said = make_client().ask(wire, **more)
    assert said.status_code == 400, said.text
    assert not server.requests
    assert not Account.objects.exists()


@pytest.mark.parametrize(
    ("wire", "more"),
    [
        ("chat", said({"type": "image_url", "image_url": {"url": "https://x"}})),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]}),
        ("messages", said({"type": "tool_result", "content": [{"type": "image", "source": {"url": "https://x"}}]})),
    ],
)
def test_a_picture_is_reserved_for_by_what_one_can_cost(
    server: LlmServer, make_client: Make, wire: str, more: dict[str, Any]
) -> None:
    server.script.append(Say("A cat.", input_tokens=1500))
    assert make_client().ask(wire, **more).status_code == 200
    call = ModelCall.objects.get()
    assert 5100 < call.held_tokens < 5400
    assert call.cost_nanos < call.held_nanos


def test_a_programs_own_tools_are_passed_on_however_they_are_grouped(server: LlmServer, make_client: Make) -> None:
    tools = [
        {"type": "function", "name": "exec_command"},
        {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "spawn_agent"}]},
    ]
    server.script.append(Say(calls=(("exec_command", {"cmd": "make"}),)))
    said = make_client().ask("responses", tools=tools, stream=True)
    assert server.requests[0].body["tools"] == tools
    assert '"type": "function_call"' in said.text
    assert ModelCall.objects.get().usage_known


def test_ollama_is_asked_in_openais_dialect_too(server: LlmServer, make_client: Make) -> None:
    client = make_client()
    headers = {"authorization": f"Bearer {client.token}"}
    server.script.append(Say("Good morning.", input_tokens=1000, output_tokens=200))
    body = {"model": "local", "messages": [], "stream": True}
    said = httpx.post(f"{client.url}/ollama/v1/chat/completions", json=body, headers=headers, trust_env=False)
    assert "Good morning." in said.text
    assert '"usage"' not in said.text
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body["max_tokens"] == 8192
    call = ModelCall.objects.get()
    assert (call.model, call.input_tokens, call.output_tokens, call.cost_nanos) == ("ollama/local", 1000, 200, 0)
    refused = httpx.post(
        f"{client.url}/ollama/v1/chat/completions", json=body | {"model": "x"}, headers=headers, trust_env=False
    )
    assert refused.json()["error"]["code"] == "gateway.model_not_allowed"
    listed = httpx.get(f"{client.url}/ollama/v1/models", headers=headers, trust_env=False).json()
    assert [model["id"] for model in listed["data"]] == ["local"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"model": 1}'])
def test_a_request_that_cannot_be_read_is_refused(server: LlmServer, make_client: Make, body: bytes) -> None:
    client = make_client()
    headers = {"authorization": f"Bearer {client.token}"}
    said = httpx.post(client.url + PATHS["chat"], content=body, headers=headers, trust_env=False)
    assert said.status_code == 400
    assert (
        httpx.post(client.url + "/openai/v1/files", content=body, headers=headers, trust_env=False).status_code == 404
    )
    assert httpx.get(client.url + "/nothing", headers=headers, trust_env=False).status_code == 404
    assert not server.requests


def test_a_request_without_a_bound_gets_one(server: LlmServer, make_client: Make) -> None:
    client = make_client()
    server.script.extend([Say("a")] * 4)
    client.ask("chat", max_tokens=None)
    client.ask("responses", max_output_tokens=None)
    client.ask("messages", max_tokens=None)
    client.ask("ollama", options={"num_predict": -1})
    chat, responses, messages, ollama = (request.body for request in server.requests)
    bounds = [chat["max_completion_tokens"], responses["max_output_tokens"], messages["max_tokens"]]
    assert [*bounds, ollama["options"]["num_predict"]] == [8192] * 4


@pytest.mark.parametrize(
    ("wire", "status"),
    [("chat", 400), ("chat", 401), ("chat", 403), ("chat", 429), ("chat", 500), ("responses", 404), ("messages", 401),
     ("messages", 529), ("ollama", 503)],
)  # fmt: skip
def test_a_providers_refusal_comes_through_without_the_key_and_costs_nothing(
    server: LlmServer, make_client: Make, wire: str, status: int
) -> None:
    server.script.append(Fail(status, message="no" if wire == "ollama" else f"no {KEY} here"))
    said = make_client().ask(wire)
    assert said.status_code == status
    assert KEY not in said.text
    call = ModelCall.objects.get()
    assert (call.state, call.status, call.error) == ("failed", status, f"http.{status}")
    assert booked() == (0, 0)


def answered(**usage: Any) -> bytes:
    """An answer in OpenAI's chat dialect that tells this usage."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Yes."}}
    return json.dumps({"id": "x", "object": "chat.completion", "model": "other", "choices": [choice], **usage}).encode()


@pytest.mark.parametrize(
    "told",
    [{}, {"usage": None}, {"usage": {}}, {"usage": []}, {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
     {"usage": {"prompt_tokens": -9, "completion_tokens": -9}}, {"usage": {"prompt_tokens": "many"}},
     {"usage": {"prompt_tokens": 2**63, "completion_tokens": 1}}, {"usage": {"prompt_tokens": 1.5}}],
)  # fmt: skip
def test_a_usage_that_cannot_be_is_charged_as_reserved_and_never_as_nothing(
    server: LlmServer, make_client: Make, told: dict[str, Any]
) -> None:
    server.script.append(Raw(answered(**told)))
    assert make_client().ask().status_code == 200
    call = ModelCall.objects.get()
    assert (call.state, call.usage_known) == ("settled", False)
    assert booked() == (0, call.held_nanos)


def test_an_answer_that_came_compressed_is_passed_on_plain_and_booked(server: LlmServer, make_client: Make) -> None:
    body = answered(usage={"prompt_tokens": 11, "completion_tokens": 7})
    server.script.append(Raw(gzip.compress(body), headers={"content-encoding": "gzip"}))
    assert make_client().ask().content == body
    call = ModelCall.objects.get()
    assert (call.state, call.input_tokens, call.output_tokens) == ("settled", 11, 7)


def test_no_part_of_the_key_is_left_where_a_long_refusal_is_cut(server: LlmServer, make_client: Make) -> None:
    # Wherever the cut falls, it falls into a key.
    server.script.append(Fail(400, message=KEY * 5000))
    said = make_client().ask()
    assert said.status_code == 400
    assert KEY[:8] not in said.text


def test_a_redirect_is_not_followed(server: LlmServer, make_client: Make) -> None:
    server.script.append(Fail(307, {"location": server.base_url("openai")}))
    assert make_client().ask().status_code == 502
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("wire", "streamed", "behaviour"),
    [*((wire, True, Cut()) for wire in PATHS), ("chat", False, Cut()), ("messages", False, Raw(b"{}")),
     ("chat", True, Raw(b"")), ("chat", False, Raw(b'{"choices": [{"mess')), ("ollama", False, Raw(b"[]"))],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_charged_as_reserved_and_never_replayed(
    server: LlmServer, make_client: Make, wire: str, streamed: bool, behaviour: Behaviour
) -> None:
    server.script.append(behaviour)
    client = make_client()
    try:
        client.ask(wire, stream=streamed)
    except httpx.RemoteProtocolError:
        assert isinstance(behaviour, Cut)  # the client notices too
    call = eventually(lambda: ModelCall.objects.exclude(state="reserved").first())
    assert call.state == "lost"
    assert booked() == (0, call.held_nanos)
    assert make_client(run=client.run).ask(wire, stream=streamed).status_code == 500  # asked anew: the script is over


def test_a_portals_page_is_no_answer_and_costs_nothing(server: LlmServer, make_client: Make) -> None:
    server.script.append(Raw(b"<html>Sign in</html>", "text/html"))
    make_client().ask()
    assert ModelCall.objects.get().error == "reply.html"
    assert booked() == (0, 0)


def test_a_provider_that_is_silent_is_left_in_time(server: LlmServer, make_client: Make, settings: Any) -> None:
    settings.MODEL_TIMEOUT_S = 0.3
    server.script.append(Hang(5))
    said = make_client().ask()
    assert said.status_code == 504
    assert "llm.timeout" in said.text
    assert ModelCall.objects.get().state == "lost"


def test_a_provider_that_is_not_there_costs_nothing(make_client: Make, settings: Any) -> None:
    settings.MODEL_ENVIRONMENT = settings.MODEL_ENVIRONMENT | {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    said = make_client().ask()
    assert said.status_code == 503
    assert ModelCall.objects.get().state == "failed"
    assert booked() == (0, 0)


def test_a_client_that_leaves_loses_nothing_the_answer_is_kept(server: LlmServer, make_client: Make) -> None:
    gate = threading.Event()
    server.script.append(Slowly(Say("Good morning."), first=260, gate=gate))
    client = make_client()
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 100, "stream": True}
    headers = {"authorization": f"Bearer {client.token}"}
    with httpx.stream("POST", client.url + PATHS["chat"], json=body, headers=headers, trust_env=False) as answer:
        next(answer.iter_raw())
    gate.set()
    eventually(lambda: ModelCall.objects.get().state == "settled")
    again = make_client(run=client.run).ask(stream=True)
    assert again.headers["x-moorage-replayed"] == "1"
    assert "Good morning." in again.text
    assert len(server.requests) == 1


def test_the_models_that_a_run_may_ask_are_listed(make_client: Make) -> None:
    client = make_client(models=["openai/gpt-5", "anthropic/claude-haiku-4-5"])
    headers = {"x-api-key": client.token}
    listed = httpx.get(f"{client.url}/anthropic/v1/models", headers=headers, trust_env=False).json()
    assert [model["id"] for model in listed["data"]] == ["claude-haiku-4-5"]
    assert httpx.get(f"{client.url}/openai/v1/models", trust_env=False).status_code == 401
    assert httpx.get(f"{client.url}/healthz", trust_env=False).text == "ok\n"


def test_the_same_answer_is_paid_for_once_by_attempts_of_one_lineage(server: LlmServer, make_client: Make) -> None:
    first = make_client()
    server.script.extend([Say("one"), Say("two"), Say("three"), Say("four")])
    assert [first.ask().json()["choices"][0]["message"]["content"] for _ in range(2)] == ["one", "two"]
    again = make_client(run=first.run)
    said = [again.ask().json()["choices"][0]["message"]["content"] for _ in range(3)]
    assert said == ["one", "two", "three"]
    stranger = make_client()
    assert stranger.ask().json()["choices"][0]["message"]["content"] == "four"
    assert again.run.run_id != stranger.run.run_id
    assert len(server.requests) == 4 == ModelCall.objects.count()
    assert uuid.UUID(str(ModelCall.objects.order_by("created_at").first().run_id)) == first.run.run_id
