"""Streams whose pieces are cut, doubled, out of order or no JSON, though they end as if all were well: no tool runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.engines.llm import LlmEngine
from agents.engines.protocol import Plan, PlanStep
from agents.providers import Dialect, Model, ModelChain, ModelMalformed, ModelUnavailable
from tests.agents.engines.conftest import MakeTask
from tests.fakes.llm_server import LlmServer, Raw
from tests.fakes.workbench import DirectoryWorkbench

PLAN = Plan("Greet.", (PlanStep("Write the greeting", ("new.py",)),))
EDIT = json.dumps({"edits": [{"path": "new.py", "search": "", "replace": "print('one')\nprint('two')\n"}]})
CUT = EDIT[:-20]
PARTS = [EDIT[:30], EDIT[30:60], EDIT[60:]]
GARBLED = {
    "cut": [CUT],
    "doubled": [EDIT, EDIT],
    "one part doubled": [PARTS[0], PARTS[1], PARTS[1], PARTS[2]],
    "out of order": [PARTS[1], PARTS[0], PARTS[2]],
    "one part lost": [PARTS[0], PARTS[2]],
    "with words behind": [EDIT, " I hope that helps."],
    "no object": ['["new.py"]'],
}


def openai(arguments: list[str]) -> bytes:
    """A stream of OpenAI's with one call, whose arguments come in these parts."""
    calls: list[dict[str, Any]] = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "EditFiles", "arguments": ""}},
        *({"index": 0, "function": {"arguments": part}} for part in arguments),
    ]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    choices = [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None} for call in calls]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    events = [json.dumps(head | {"choices": [choice]}) for choice in choices]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


def anthropic(arguments: list[str]) -> bytes:
    """The same as Anthropic streams it."""
    usage = {"input_tokens": 11, "output_tokens": 7}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "scripted", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    block = {"type": "tool_use", "id": "toolu_1", "name": "EditFiles", "input": {}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": part}}
          for part in arguments),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]  # fmt: skip
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


STREAMS = {"openai": openai, "anthropic": anthropic}


def coded(body: bytes, dialect: str, bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    with LlmServer(Raw(body, "text/event-stream")) as server:
        models = (Model(Dialect(dialect), "scripted", server.base_url(dialect), "sk-1"),)
        chain = ModelChain(models, timeout_s=5.0, attempts=1, backoff_s=0.01, streaming=True)
        LlmEngine(chain).code(make_task("Greet"), PLAN, bench)


@pytest.mark.parametrize("dialect", list(STREAMS))
@pytest.mark.parametrize("garbled", list(GARBLED))
def test_a_call_whose_arguments_are_no_json_never_runs(
    bench: DirectoryWorkbench, make_task: MakeTask, dialect: str, garbled: str
) -> None:
    with pytest.raises(ModelMalformed):
        coded(STREAMS[dialect](GARBLED[garbled]), dialect, bench, make_task)
    assert bench.files() == []


@pytest.mark.parametrize("dialect", list(STREAMS))
def test_a_call_that_came_whole_runs(bench: DirectoryWorkbench, make_task: MakeTask, dialect: str) -> None:
    with pytest.raises(ModelUnavailable):  # the script is over, after the edit
        coded(STREAMS[dialect](PARTS), dialect, bench, make_task)
    assert bench.files() == ["new.py"]


@pytest.mark.parametrize("dialect", list(STREAMS))
@pytest.mark.parametrize("place", [1, 2, 4])
def test_an_event_that_is_no_json_ends_the_answer(
    bench: DirectoryWorkbench, make_task: MakeTask, dialect: str, place: int
) -> None:
    events = STREAMS[dialect](PARTS).split(b"\n\n")
    events[place] = events[place][: len(events[place]) // 2 + 8]
    with pytest.raises(ModelMalformed):
        coded(b"\n\n".join(events), dialect, bench, make_task)
    assert bench.files() == []
