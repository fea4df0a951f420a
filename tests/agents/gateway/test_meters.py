"""What a meter reads off an answer, however it is cut, ended, repeated or garbled. No network: bytes in, bytes out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from agents.gateway import frames, wires
from agents.gateway.meters import LARGEST_REPLY, Meter
from agents.gateway.prices import Usage
from tests.agents.gateway.conftest import MODELS, PATHS

EVENTS = "text/event-stream"
SIZES = (1, 2, 3, 7, 1000)


def meter(wire: str = "chat", *, streamed: bool = True, content_type: str = EVENTS, **more: Any) -> Meter:
    body = {"model": MODELS[wire], "messages": [], "stream": streamed, **more}
    return Meter(wires.read(PATHS[wire], json.dumps(body).encode()), content_type=content_type)


def fed(one: Meter, body: bytes, *, size: int = 1000) -> bytes:
    """All that goes on to the client when it is read in pieces of this size."""
    passed = [one.feed(body[at : at + size]) for at in range(0, len(body), size)]
    return b"".join(passed) + one.end()


def stream(documents: Iterable[Any], *, end: str = "\n") -> bytes:
    texts = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in documents)
    return "".join(f"data: {text}{end}{end}" for text in texts).encode()


def words(text: str = "", stop: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": stop}], **more}


def told(read: Any = 11, said: Any = 7, **more: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": read, "completion_tokens": said, **more}}


LAST = {"model": "gpt-5", "choices": [], **told()}
WHOLE = (words("Grüße, 世界 🌍"), words(stop="stop"), LAST, "[DONE]")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_is_read_wherever_its_lines_end_and_its_reads_cut_it(end: str, size: int) -> None:
    body = stream(WHOLE, end=end)
    one = meter(stream_options={"include_usage": True})
    assert fed(one, body, size=size) == body
    assert (one.complete, one.usage, one.reply, one.model) == (True, Usage(11, 7), body, "gpt-5")


@pytest.mark.parametrize("size", SIZES)
def test_the_one_event_that_nobody_asked_for_is_left_out_with_its_end(size: int) -> None:
    one = meter()
    assert fed(one, stream(WHOLE, end="\r\n"), size=size) == stream([*WHOLE[:2], "[DONE]"], end="\r\n")
    assert one.usage == Usage(11, 7)


def test_comments_fields_and_data_of_many_lines_are_understood() -> None:
    lines = json.dumps({"model": "gpt-5", **told(), "choices": []}, indent=1).replace("\n", "\ndata: ")
    body = (
        b"\xef\xbb\xbf: welcome\n\n:\n\n" + stream([words("Hi.", "stop")])
        + f": busy\nid: 7\nevent: chunk\nretry: 10\ndata: {lines}\n\ndata:[DONE]\n\n".encode()
    )  # fmt: skip
    one = meter(stream_options={"include_usage": True})
    assert fed(one, body, size=5) == body
    assert (one.complete, one.usage) == (True, Usage(11, 7))


def test_what_is_no_json_passes_and_hides_nothing_that_follows() -> None:
    body = stream(["{", '{"choices": [{"delta": "half', "null", "[]", "7", "[" * 9000, *WHOLE])
    one = meter(stream_options={"include_usage": True})
    assert fed(one, body, size=4096) == body
    assert (one.complete, one.usage) == (True, Usage(11, 7))


def test_an_event_that_is_too_long_to_look_at_passes_as_it_is_and_the_next_one_is_read() -> None:
    body = stream([words("x" * (frames.LONGEST_EVENT + 5000)), *WHOLE])
    one = meter(stream_options={"include_usage": True})
    assert fed(one, body, size=65_536) == body
    assert (one.complete, one.usage) == (True, Usage(11, 7))


def test_a_reply_that_is_too_long_to_keep_is_passed_on_and_not_kept() -> None:
    body = stream([*[words("x" * 65_536)] * (LARGEST_REPLY // 65_536 + 1), *WHOLE])
    one = meter(stream_options={"include_usage": True})
    assert fed(one, body, size=65_536) == body
    assert (one.complete, one.usage, one.reply) == (True, Usage(11, 7), None)


@pytest.mark.parametrize(
    ("documents", "complete", "usage"),
    [
        ([words("Hi."), words(stop="stop"), LAST], True, Usage(11, 7)),  # no [DONE], as of some servers
        ([words("Hi."), words(stop="stop"), "[DONE]"], True, None),
        ([words("Hi."), LAST, "[DONE]"], True, Usage(11, 7)),
        ([words("Hi."), LAST], False, Usage(11, 7)),
        ([words("Hi.", **told(11, 1))], False, None),  # told while it speaks: there is more to come
        ([words("Hi.", **told(11, 1)), words(stop="stop"), "[DONE]"], True, None),
        ([words("Hi.", **told(11, 1)), words(stop="stop", **told())], True, Usage(11, 7)),
        ([words("Hi.", "stop"), LAST, LAST, "[DONE]"], True, Usage(11, 7)),
        ([words("Hi.", "stop"), LAST, LAST | told(0, 0), "[DONE]"], True, Usage(11, 7)),
        ([words("Hi.", "stop"), LAST, LAST | told(12, 9), "[DONE]"], True, Usage(12, 9)),
        ([LAST, words(stop="stop"), words("Hi."), "[DONE]"], True, Usage(11, 7)),  # in the wrong order
        ([words("Hi.", "stop"), LAST, LAST | told("12", 9), "[DONE]"], True, None),
        ([{"error": {"message": "overloaded"}}], False, None),
        ([], False, None),
    ],
)
def test_the_usage_of_a_chat_is_that_of_its_end(documents: list[Any], complete: bool, usage: Usage | None) -> None:
    one = meter()
    fed(one, stream(documents))
    assert (one.complete, one.usage) == (complete, usage)


def begun(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {"model": "claude-haiku-4-5", "usage": usage}}


def stopped(stop: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}


STOP = {"type": "message_stop"}


@pytest.mark.parametrize(
    ("documents", "complete", "usage"),
    [
        ([begun(input_tokens=11, output_tokens=1), stopped(output_tokens=7), STOP], True, Usage(11, 7)),
        ([begun(input_tokens=11, output_tokens=1), stopped(output_tokens=7)], False, Usage(11, 7)),
        ([begun(input_tokens=11, output_tokens=1), STOP], True, None),  # who only told how it began
        ([begun(input_tokens=11, output_tokens=1)], False, None),
        ([stopped(input_tokens=11, output_tokens=7), STOP], True, Usage(11, 7)),
        ([begun(input_tokens=11, cache_read_input_tokens=5, output_tokens=1),
          stopped(input_tokens=11, cache_read_input_tokens=5, cache_creation_input_tokens=2, output_tokens=7), STOP],
         True, Usage(18, 7, 5, 2)),
        ([begun(input_tokens=11), stopped(input_tokens=0, output_tokens=7), STOP], True, Usage(11, 7)),
        ([begun(input_tokens=11, cache_read_input_tokens=-5), stopped(output_tokens=7), STOP], True, None),
        ([begun(input_tokens=11, cache_read_input_tokens=None), stopped(output_tokens=7), STOP], True, Usage(11, 7)),
    ],
)  # fmt: skip
def test_the_usage_of_a_message_is_that_of_its_end(documents: list[Any], complete: bool, usage: Usage | None) -> None:
    one = meter("messages", max_tokens=10)
    fed(one, stream(documents))
    assert (one.complete, one.usage, one.model in ("", "claude-haiku-4-5")) == (complete, usage, True)


@pytest.mark.parametrize(
    "usage",
    [told("11"), told(11.0), told(-1), told(True), told(2**26), told(11, None), told(None), told(11, "7"),
     told(11, 7, prompt_tokens_details={"cached_tokens": 12}), told(11, 7, prompt_tokens_details={"cached_tokens": -1}),
     told(11, 7, prompt_tokens_details={"cached_tokens": "3"}), told(0, 0), {"usage": [11, 7]}, {}],
)  # fmt: skip
def test_a_usage_that_cannot_be_is_none(usage: dict[str, Any]) -> None:
    one = meter(streamed=False, content_type="application/json")
    choice = {"finish_reason": "stop", "message": {"content": "Hi."}}
    fed(one, json.dumps({"model": "gpt-5", "choices": [choice], **usage}).encode())
    assert (one.complete, one.usage) == (True, None)


@pytest.mark.parametrize("status", ["failed", "cancelled", "in_progress", "completed", "incomplete"])
def test_a_response_that_failed_is_not_whole(status: str) -> None:
    whole = {"model": "gpt-5", "status": status, "output": [{"type": "message"}]}
    once = meter("responses", streamed=False, content_type="application/json")
    fed(once, json.dumps(whole).encode())
    by_events = meter("responses")
    fed(by_events, stream([{"type": "response.created", "response": whole},
                           {"type": f"response.{status}", "response": whole}, "[DONE]"]))  # fmt: skip
    assert once.complete == by_events.complete == (status in {"completed", "incomplete"})
    assert once.model == by_events.model == "gpt-5"


def test_a_stream_is_read_as_one_whatever_it_is_called_and_a_document_as_a_document() -> None:
    body = stream(WHOLE)
    for content_type in (EVENTS, "TEXT/Event-Stream; charset=utf-8", "text/plain", ""):
        one = meter(content_type=content_type, stream_options={"include_usage": True})
        assert fed(one, body) == body
        assert (one.complete, one.usage) == (True, Usage(11, 7)), content_type
    plain = meter(content_type="application/json")
    fed(plain, json.dumps({"choices": [{"finish_reason": "stop"}], **told()}).encode())
    assert (plain.complete, plain.usage) == (True, Usage(11, 7))


@pytest.mark.parametrize("name", ["a\u0000b", "\ud800", "", None, 7, ["gpt-5"]])
def test_a_model_that_cannot_be_a_name_is_not_taken_down(name: Any) -> None:
    one = meter(streamed=False, content_type="application/json")
    fed(one, json.dumps({"model": name, "choices": [{}], **told()}).encode())
    assert one.model == ""
