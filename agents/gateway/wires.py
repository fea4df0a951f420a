"""What a request asks for, in each dialect on the wire: the model, how much it may answer, and whether in a stream.

A request that could cost more than can be foreseen is refused here, with what to leave out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agents.gateway import attachments
from agents.gateway.faults import BadCall, NotServed
from agents.providers import Dialect

LARGEST_BODY = 24 << 20
DEFAULT_OUTPUT = 8192  # tokens, where a request names no bound
_MOST_OUTPUT = 1_000_000
_BYTES_PER_TOKEN = 2  # of JSON: models need more for each token of text, code or Chinese; the estimate errs upwards


class Wire(StrEnum):
    """A provider's endpoint."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a wire is served here, and its path at the provider."""

    wire: Wire
    dialect: Dialect
    upstream_path: str


ENDPOINTS: dict[str, Endpoint] = {
    "/openai/v1/chat/completions": Endpoint(Wire.CHAT, Dialect.OPENAI, "/chat/completions"),
    "/openai/v1/responses": Endpoint(Wire.RESPONSES, Dialect.OPENAI, "/responses"),
    "/anthropic/v1/messages": Endpoint(Wire.MESSAGES, Dialect.ANTHROPIC, "/v1/messages"),
    "/ollama/api/chat": Endpoint(Wire.OLLAMA, Dialect.OLLAMA, "/api/chat"),
    "/ollama/v1/chat/completions": Endpoint(Wire.CHAT, Dialect.OLLAMA, "/v1/chat/completions"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it goes on to the provider."""

    endpoint: Endpoint
    model: str
    streamed: bool
    body: bytes
    digest: str
    input_tokens: int  # at most
    output_tokens: int  # at most
    hide_usage: bool = False  # the client did not ask for the chunk with the usage; we did

    @property
    def label(self) -> str:
        return f"{self.endpoint.dialect}/{self.model}"


def read(path: str, body: bytes) -> Asked:
    """The request. Raises :class:`NotServed` or :class:`BadCall`."""
    endpoint = ENDPOINTS.get(path.removesuffix("/"))
    if endpoint is None:
        raise NotServed(f"Nothing is served at {path[:100]}.")
    document = _document(body)
    model = document.get("model")
    if not isinstance(model, str) or not model or len(model) > 150:
        raise BadCall("The request names no model.")
    digest = _digest(endpoint, document)
    output = _BOUNDS[endpoint.wire](document)
    if endpoint.dialect is Dialect.OLLAMA and "max_completion_tokens" in document:
        document["max_tokens"] = document.pop("max_completion_tokens")  # it knows the older name only
    hide_usage = _ask_for_usage(endpoint.wire, document)
    sent = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    streamed = document.get("stream", endpoint.wire is Wire.OLLAMA)
    if not isinstance(streamed, bool):
        raise BadCall("stream is neither true nor false.")
    return Asked(
        endpoint, model, streamed, sent, digest, output_tokens=output, hide_usage=hide_usage,
        input_tokens=len(sent) // _BYTES_PER_TOKEN + 64 + attachments.tokens(document),
    )  # fmt: skip


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise BadCall("The request is not JSON.") from None
    if not isinstance(document, dict):
        raise BadCall("The request is no JSON object.")
    return document


def _digest(endpoint: Endpoint, document: Mapping[str, Any]) -> str:
    """Of what is asked, whatever the order of its keys."""
    canonical = json.dumps([endpoint.wire, document], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _whole(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST_OUTPUT:
        raise BadCall(f"{name} must be a whole number from 1 to {_MOST_OUTPUT}.")
    return value


def _refuse(document: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if document.get(name):
            raise BadCall(f"{name} is not passed on: what it costs cannot be foreseen. Leave it out.")


def _tools(document: Mapping[str, Any], ours: Callable[[str], bool]) -> None:
    """Tools that run at the provider cost extra and reach the network: only the client's own are passed on."""
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        kind = tool.get("type", "custom") if isinstance(tool, dict) else ""
        if kind == "namespace":  # a group of tools, as Codex names those of its MCP servers and agents
            _tools(tool, ours)
        elif not isinstance(kind, str) or not ours(kind):
            raise BadCall(f"The tool {str(kind)[:60]!r} runs at the provider and is not passed on.")


def _tier(document: Mapping[str, Any], *known: str) -> None:
    if document.get("service_tier") not in (None, *known):
        raise BadCall("service_tier is not passed on: its price is not known. Leave it out.")


def _surcharge(document: Mapping[str, Any], name: str, *free: str) -> None:
    if document.get(name) not in (None, *free):
        raise BadCall(f"{name} is not passed on: it costs more than what is listed. Leave it out.")


def _chat(document: dict[str, Any]) -> int:
    _refuse(document, "audio", "web_search_options", "prediction")
    _tools(document, lambda kind: kind in {"function", "custom"})
    _tier(document, "auto", "default", "flex")
    bound = _whole(document, "max_completion_tokens") or _whole(document, "max_tokens")
    if bound is None:
        document["max_completion_tokens"] = bound = DEFAULT_OUTPUT
    count = _whole(document, "n") or 1
    if count > 8:
        raise BadCall("n must be at most 8.")
    return bound * count


def _responses(document: dict[str, Any]) -> int:
    _refuse(document, "background", "previous_response_id", "conversation", "prompt")
    _tools(document, lambda kind: kind in {"function", "custom", "local_shell", "apply_patch"})
    _tier(document, "auto", "default", "flex")
    bound = _whole(document, "max_output_tokens")
    if bound is None:
        document["max_output_tokens"] = bound = DEFAULT_OUTPUT
    return bound


def _messages(document: dict[str, Any]) -> int:
    _refuse(document, "mcp_servers", "container")
    own = ("custom", "bash_", "text_editor_", "computer_", "memory_")
    _tools(document, lambda kind: kind.startswith(own))
    _tier(document, "auto", "standard_only")
    _surcharge(document, "speed", "standard")
    _surcharge(document, "inference_geo", "global")
    bound = _whole(document, "max_tokens")
    if bound is None:
        document["max_tokens"] = bound = DEFAULT_OUTPUT
    return bound


def _ollama(document: dict[str, Any]) -> int:
    options = document.setdefault("options", {})
    if not isinstance(options, dict):
        raise BadCall("options is no JSON object.")
    if options.get("num_predict") in (None, -1, -2):
        options["num_predict"] = DEFAULT_OUTPUT
    bound = _whole(options, "num_predict")
    return bound or DEFAULT_OUTPUT


_BOUNDS: dict[Wire, Callable[[dict[str, Any]], int]] = {
    Wire.CHAT: _chat,
    Wire.RESPONSES: _responses,
    Wire.MESSAGES: _messages,
    Wire.OLLAMA: _ollama,
}


def _ask_for_usage(wire: Wire, document: dict[str, Any]) -> bool:
    """OpenAI's chat stream tells its usage only when asked. True when we asked and the client did not."""
    if wire is not Wire.CHAT or document.get("stream") is not True:
        return False
    options = document.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadCall("stream_options is no JSON object.")
    hide = not options.get("include_usage")
    document["stream_options"] = {**options, "include_usage": True}
    return hide
