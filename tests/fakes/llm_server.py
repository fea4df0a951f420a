"""A scripted language model on 127.0.0.1: the OpenAI, Anthropic and Ollama dialects, streamed or not.

Each request takes the next behaviour of the script; one beyond it is answered 500. Requests are kept.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """A well-formed answer: a text, tool calls as (name, arguments), and how it stopped.

    ``stop`` is "done", "length" (a last call is cut in half, as a provider does) or "refusal".
    """

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    stop: str = "done"
    input_tokens: int = 11
    output_tokens: int = 7
    cached_tokens: int = 0  # part of the input


@dataclass(frozen=True, slots=True)
class Fail:
    """An error status with a JSON body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "scripted failure"


@dataclass(frozen=True, slots=True)
class Raw:
    """Any bytes with status 200: malformed JSON, HTML, nothing."""

    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the server is closed, or this long."""

    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Drip:
    """A byte now and then, for ever: each read is in time, the answer never is."""

    every_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks off in the middle of the body."""


@dataclass(frozen=True, slots=True)
class Slowly:
    """The first bytes at once, the others after the gate is opened."""

    say: Say
    first: int
    gate: threading.Event


@dataclass(frozen=True, slots=True)
class Once:
    """The answer as soon as a request that holds this text has come; an error when none comes."""

    say: Say
    asked: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """What is said on the wire, status line and all, then the end of the connection; an event is waited for.

    ``again`` is said for ever after, until the other side has gone.
    """

    parts: tuple[bytes | threading.Event, ...]
    again: bytes = b""
    every_s: float = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Behaviour = Say | Fail | Raw | Hang | Drip | Cut | Slowly | Once | Verbatim
STOPS = {
    "openai": {"done": "stop", "calls": "tool_calls", "length": "length", "refusal": "content_filter"},
    "anthropic": {"done": "end_turn", "calls": "tool_use", "length": "max_tokens", "refusal": "refusal"},
    "ollama": {"done": "stop", "calls": "stop", "length": "length", "refusal": "content_filter"},
}


class LlmServer:
    """Use as a context manager; ``script`` may be extended while it runs.

    Requests that hold a text of ``parts`` follow that script instead; ``otherwise`` answers when a script is over.
    """

    def __init__(self, *script: Behaviour) -> None:
        self.script: deque[Behaviour] = deque(script)
        self.parts: dict[str, deque[Behaviour]] = {}
        self.otherwise: Callable[[Request], Behaviour] = lambda _request: Fail(500, message="the script is over")
        self.requests: list[Request] = []
        self.recited = 0  # bytes that were said verbatim
        self._came = threading.Condition()
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> LlmServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def holding(self, text: str) -> list[Request]:
        """The requests so far that hold a text."""
        return [request for request in self.requests if text in json.dumps(request.body)]

    def keep(self, request: Request) -> Behaviour:
        """Remember a request; what to answer it with."""
        with self._came:
            self.requests.append(request)
            self._came.notify_all()
            said = json.dumps(request.body)
            script = next((part for text, part in self.parts.items() if text in said), self.script)
            return script.popleft() if script else self.otherwise(request)

    def asked(self, text: str, *, within_s: float = 30.0) -> bool:
        """Wait for a request that holds a text."""
        with self._came:
            return self._came.wait_for(lambda: bool(self.holding(text)), timeout=within_s)

    def base_url(self, dialect: str) -> str:
        """What a client of this dialect is configured with."""
        root = f"http://127.0.0.1:{self._http.server_address[1]}"
        return f"{root}/v1" if dialect == "openai" else root


def _handler(server: LlmServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer(server.keep(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)), body)

        def answer(self, behaviour: Behaviour, body: dict[str, Any]) -> None:
            match behaviour:
                case Say():
                    self.send(200, *_spoken(self.path, behaviour, body))
                case Fail():
                    error = {"type": "error", "error": {"type": "scripted", "message": behaviour.message}}
                    self.send(behaviour.status, json.dumps(error).encode(), "application/json", behaviour.headers)
                case Raw():
                    self.send(200, behaviour.body, behaviour.content_type, behaviour.headers)
                case Hang():
                    server.closing.wait(behaviour.seconds)
                    self.close_connection = True
                case Drip():
                    self.send(200, b"", "application/json", length=1_000_000)
                    while not server.closing.wait(behaviour.every_s) and self.dripped(b" "):
                        pass
                case Slowly():
                    whole, content_type = _spoken(self.path, behaviour.say, body)
                    self.send(200, whole[: behaviour.first], content_type, length=len(whole))
                    behaviour.gate.wait(20)
                    self.wfile.write(whole[behaviour.first :])
                case Once():
                    came = server.asked(behaviour.asked)
                    self.answer(behaviour.say if came else Fail(500, message="nobody asked"), body)
                case Verbatim():
                    self.recite(behaviour)
                case Cut():
                    whole, content_type = _spoken(self.path, Say("half of it is lost"), body)
                    self.send(200, whole[: len(whole) // 2], content_type, length=len(whole))

        def send(
            self,
            status: int,
            body: bytes,
            content_type: str,
            headers: dict[str, str] | None = None,
            length: int | None = None,
        ) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body) if length is None else length))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def recite(self, said: Verbatim) -> None:
            self.close_connection = True
            for part in said.parts:
                if isinstance(part, bytes) and not self.dripped(part):
                    return
                if isinstance(part, threading.Event):
                    part.wait(20)
            while said.again and not server.closing.wait(said.every_s) and self.dripped(said.again):
                pass

        def dripped(self, more: bytes) -> bool:
            """Say more; False once the client has gone."""
            try:
                self.wfile.write(more)
            except OSError:
                return False
            server.recited += len(more)
            return True

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler


def _dialect(path: str) -> str:
    return "ollama" if path.startswith("/api/") else "anthropic" if path.endswith("/messages") else "openai"


def _spoken(path: str, say: Say, request: dict[str, Any]) -> tuple[bytes, str]:
    """The body and its content type, streamed where the request asks for it."""
    dialect = _dialect(path)
    stop = STOPS[dialect]["calls" if say.calls and say.stop == "done" else say.stop]
    if dialect == "ollama":
        return _ollama(say, stop), "application/x-ndjson"
    streamed = bool(request.get("stream"))
    if path.endswith("/responses"):
        return _responses(say, streamed), "text/event-stream" if streamed else "application/json"
    maker = {
        ("openai", False): _openai,
        ("openai", True): _openai_stream,
        ("anthropic", False): _anthropic,
        ("anthropic", True): _anthropic_stream,
    }[dialect, streamed]
    return maker(say, stop), "text/event-stream" if streamed else "application/json"


def _arguments(say: Say, at: int) -> str:
    """A call's arguments as JSON; the last one's half when the answer is cut."""
    whole = json.dumps(say.calls[at][1])
    return whole[: len(whole) // 2] if say.stop == "length" and at == len(say.calls) - 1 else whole


def _partial(say: Say, at: int) -> dict[str, Any]:
    """A call's arguments as an object; when cut, a *valid* one with half of each text, as providers send."""
    arguments = say.calls[at][1]
    if say.stop != "length" or at != len(say.calls) - 1:
        return arguments
    return {key: _half(value) for key, value in arguments.items()}


def _half(value: Any) -> Any:
    if isinstance(value, str):
        return value[: len(value) // 2]
    if isinstance(value, list):
        return [_half(entry) for entry in value]
    return {key: entry if key == "path" else _half(entry) for key, entry in value.items()}


def _openai_call(say: Say, at: int, *, streamed: bool) -> dict[str, Any]:
    call: dict[str, Any] = {
        "id": f"call_{at}",
        "type": "function",
        "function": {"name": say.calls[at][0], "arguments": _arguments(say, at)},
    }
    return call | {"index": at} if streamed else call


def _openai(say: Say, stop: str) -> bytes:
    calls = [_openai_call(say, at, streamed=False) for at in range(len(say.calls))]
    message: dict[str, Any] = {"role": "assistant", "content": say.text or None}
    if calls:
        message["tool_calls"] = calls
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": stop}],
            "usage": _openai_usage(say),
        }
    ).encode()


def _openai_usage(say: Say) -> dict[str, Any]:
    total = say.input_tokens + say.output_tokens
    told: dict[str, Any] = {
        "prompt_tokens": say.input_tokens, "completion_tokens": say.output_tokens, "total_tokens": total,
    }  # fmt: skip
    return told | {"prompt_tokens_details": {"cached_tokens": say.cached_tokens}} if say.cached_tokens else told


def _responses(say: Say, streamed: bool) -> bytes:
    """A text and calls of functions in the form of /v1/responses."""
    usage = {
        "input_tokens": say.input_tokens, "input_tokens_details": {"cached_tokens": say.cached_tokens},
        "output_tokens": say.output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": say.input_tokens + say.output_tokens,
    }  # fmt: skip
    output = _response_items(say)
    whole = {"id": "resp_1", "object": "response", "status": "completed", "model": "scripted", "output": output,
             "usage": usage}  # fmt: skip
    if not streamed:
        return json.dumps(whole).encode()
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"status": "in_progress", "output": [], "usage": None}}
    ]
    for index, item in enumerate(output):
        where = {"item_id": item["id"], "output_index": index}
        told = (
            {"type": "response.output_text.delta", "content_index": 0, "delta": say.text}
            if item["type"] == "message"
            else {"type": "response.function_call_arguments.delta", "delta": item["arguments"]}
        )
        events += [
            {"type": "response.output_item.added", "output_index": index, "item": item},
            told | where,
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]
    events.append({"type": "response.completed", "response": whole})
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _response_items(say: Say) -> list[dict[str, Any]]:
    content = [{"type": "output_text", "text": say.text, "annotations": []}]
    text = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    return [
        *([text] if say.text or not say.calls else []),
        *(
            {"type": "function_call", "id": f"fc_{at}", "call_id": f"call_{at}", "name": say.calls[at][0],
             "arguments": _arguments(say, at), "status": "completed"}
            for at in range(len(say.calls))
        ),
    ]  # fmt: skip


def _openai_stream(say: Say, stop: str) -> bytes:
    def chunk(choices: list[dict[str, Any]], **more: Any) -> str:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
        return f"data: {json.dumps(head | {'choices': choices} | more)}\n\n"

    def delta(content: dict[str, Any], finish: str | None = None) -> str:
        return chunk([{"index": 0, "delta": content, "finish_reason": finish}])

    parts = [delta({"role": "assistant", "content": say.text})]
    parts += [delta({"tool_calls": [_openai_call(say, at, streamed=True)]}) for at in range(len(say.calls))]
    parts += [delta({}, stop), chunk([], usage=_openai_usage(say)), "data: [DONE]\n\n"]
    return "".join(parts).encode()


def _anthropic(say: Say, stop: str) -> bytes:
    content: list[dict[str, Any]] = [{"type": "text", "text": say.text}] if say.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": _partial(say, at)}
        for at, (name, _) in enumerate(say.calls)
    ]
    usage = _anthropic_usage(say) | {"output_tokens": say.output_tokens}
    return json.dumps(_anthropic_message(content, stop, usage)).encode()


def _anthropic_usage(say: Say) -> dict[str, int]:
    """Anthropic counts what comes out of its cache beside the input."""
    told = {"input_tokens": say.input_tokens - say.cached_tokens}
    return told | {"cache_read_input_tokens": say.cached_tokens} if say.cached_tokens else told


def _anthropic_message(content: list[dict[str, Any]], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _anthropic_stream(say: Say, stop: str) -> bytes:
    parts: list[str] = []

    def event(kind: str, **data: Any) -> None:
        parts.append(f"event: {kind}\ndata: {json.dumps({'type': kind} | data)}\n\n")

    start = _anthropic_usage(say) | {"output_tokens": 0}
    event("message_start", message=_anthropic_message([], None, start))
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = []
    if say.text:
        blocks.append(({"type": "text", "text": ""}, {"type": "text_delta", "text": say.text}))
    for at, (name, _) in enumerate(say.calls):
        opened = {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": {}}
        blocks.append((opened, {"type": "input_json_delta", "partial_json": _arguments(say, at)}))
    for index, (opened, delta) in enumerate(blocks):
        event("content_block_start", index=index, content_block=opened)
        event("content_block_delta", index=index, delta=delta)
        event("content_block_stop", index=index)
    # The final delta repeats the cumulative input usage, as the real service does.
    usage = _anthropic_usage(say) | {"output_tokens": say.output_tokens}
    event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage=usage)
    event("message_stop")
    return "".join(parts).encode()


def _ollama(say: Say, stop: str) -> bytes:
    calls = [{"function": {"name": name, "arguments": _partial(say, at)}} for at, (name, _) in enumerate(say.calls)]
    head = {"model": "scripted", "created_at": "2026-01-01T00:00:00Z"}
    message: dict[str, Any] = {"role": "assistant", "content": say.text}
    if calls:
        message["tool_calls"] = calls
    end = {
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": stop,
        "prompt_eval_count": say.input_tokens,
        "eval_count": say.output_tokens,
    }
    return "".join(f"{json.dumps(head | part)}\n" for part in ({"message": message, "done": False}, end)).encode()
