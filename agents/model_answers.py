"""A model's message as a complete answer, or as a fault: a cut, filtered or empty message is never acted
on.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from agents.providers import ModelMalformed, ModelRefused, ModelTruncated

COMPLETE = frozenset({"stop", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence", "completed"})
CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
REFUSED = frozenset({"content_filter", "refusal"})


@dataclass(frozen=True, slots=True)
class Spoken:
    """A LangChain message, and which model spoke it."""

    message: Any
    label: str


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call with parsed arguments."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: text, calls, and the message itself for the next request."""

    text: str
    calls: tuple[Call, ...]
    message: Any


def joined(parts: Iterable[Any]) -> Any:
    """The message of a stream; calls whose arguments are no JSON object are invalid ones, however the stream ends.

    LangChain's own way mends arguments that were cut or doubled, and half an edit looks like a whole one.
    """
    from langchain_core.messages import message_chunk_to_message
    from langchain_core.messages.tool import invalid_tool_call

    whole = reduce(operator.add, parts)
    message: Any = message_chunk_to_message(whole)
    message.invalid_tool_calls = [
        invalid_tool_call(name=part["name"], args=part["args"], id=part["id"])
        for part in whole.tool_call_chunks
        if not _is_object(part["args"] or "{}")
    ]
    return message


def read_answer(spoken: Spoken) -> Answer:
    """The answer of a message whose stop reason says that it is complete; else the fault that fits."""
    message, label = spoken.message, spoken.label
    reason = _stop_reason(message)
    text = message.text if isinstance(message.text, str) else ""
    # The stop reason comes first: streamed, a call cut at the length limit parses as a valid one, with half
    # a file in it.
    if reason in CUT:
        raise ModelTruncated(f"{label} stopped at its length limit; nothing of the answer was used.", reason=reason)
    if reason in REFUSED or message.additional_kwargs.get("refusal"):
        raise ModelRefused(f"{label} declined to answer.", reason=reason or "refusal")
    if reason not in COMPLETE:
        raise ModelMalformed(f"{label}: the answer broke off (stop reason {reason!r}).")
    if message.invalid_tool_calls:
        raise ModelMalformed(f"{label}: the arguments of a tool call are not JSON.")
    calls = tuple(
        Call(id=call["id"] or f"call-{at}", name=call["name"], arguments=dict(call["args"]))
        for at, call in enumerate(message.tool_calls)
    )
    if not calls and not text.strip():
        raise ModelMalformed(f"{label}: the answer is empty.")
    return Answer(text=text, calls=calls, message=message)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, strict=False), dict)  # small models write line ends into their strings
    except ValueError:
        return False


def _stop_reason(message: Any) -> str | None:
    """The provider's stop reason, whatever its dialect calls it."""
    said: dict[str, Any] = message.response_metadata
    for key in ("finish_reason", "stop_reason", "done_reason"):
        if said.get(key):
            return str(said[key])
    if details := said.get("incomplete_details"):  # OpenAI's /responses
        return str(details.get("reason"))
    return str(said["status"]) if said.get("status") else None
