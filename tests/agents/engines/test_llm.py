"""The llm engine over HTTP, through the real client libraries: each dialect, each way a provider fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents.engines.llm import LlmEngine
from agents.engines.protocol import Feedback, Plan, PlanStep
from agents.providers import (
    Dialect,
    Model,
    ModelAuth,
    ModelCancelled,
    ModelChain,
    ModelMalformed,
    ModelRateLimited,
    ModelRefused,
    ModelRejected,
    ModelStuck,
    ModelTimeout,
    ModelTruncated,
    ModelUnavailable,
)
from events.faults import Fault
from tests.agents.engines.conftest import MakeTask
from tests.fakes.llm_server import Behaviour, Cut, Drip, Fail, Hang, LlmServer, Raw, Say
from tests.fakes.workbench import DirectoryWorkbench

SECRET = "sk-very-secret-key"
PLAN = Plan("Greet.", (PlanStep("Change the greeting", ("a.py",)),))
SPOKEN_PLAN = Say(calls=(("SubmitPlan", {"summary": "Greet.", "steps": [{"title": "Change", "files": ["a.py"]}]}),))
EDIT = {"edits": [{"path": "a.py", "search": "x = 1\n", "replace": "x = 2\ny = 'a long line of text'\n"}]}
DONE = Say(calls=(("Done", {"summary": "Changed x."}),))


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


def chain(server: LlmServer, *dialects: str, **more: Any) -> ModelChain:
    bounds: dict[str, Any] = {"timeout_s": 5.0, "attempts": 1, "backoff_s": 0.01} | more
    models = tuple(Model(Dialect(d), "scripted", server.base_url(d), SECRET) for d in dialects)
    return ModelChain(models=models, **bounds)


def scripted(server: LlmServer, *behaviours: Behaviour) -> None:
    server.script.extend(behaviours)


DIALECTS = [("openai", False), ("openai", True), ("anthropic", False), ("anthropic", True), ("ollama", False)]
each_dialect = pytest.mark.parametrize(("dialect", "streaming"), DIALECTS, ids=[f"{d}-{s}" for d, s in DIALECTS])


@each_dialect
def test_plan_code_and_review_change_a_real_file_and_sum_the_usage(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, dialect: str, streaming: bool
) -> None:
    bench.put("a.py", "x = 1\n")
    scripted(
        server,
        SPOKEN_PLAN,
        Say("I look first.", calls=(("ReadFile", {"path": "a.py"}), ("SearchText", {"text": "x ="}))),
        Say(calls=(("EditFiles", EDIT),)),
        Say(calls=(("RunCommand", {"argv": ["python", "-c", "import a; print(a.x)"]}),)),
        DONE,
        Say(calls=(("SubmitReview", {"approved": False, "comments": ["No test."]}),)),
    )
    engine, task = LlmEngine(chain(server, dialect, streaming=streaming)), make_task("Set x to 2")
    plan = engine.plan(task, bench)
    done = engine.code(task, plan, bench)
    review = engine.review(task, plan, "the diff", {"passed": 3}, bench)
    assert bench.text("a.py") == "x = 2\ny = 'a long line of text'\n"
    assert (done.changed, done.summary) == (("a.py",), "Changed x.")
    assert (review.approved, review.comments) == (False, ("No test.",))
    assert engine.label() == f"{dialect}/scripted"
    assert engine.usage() == {"calls": 6, "failed_calls": 0, "input_tokens": 66, "output_tokens": 42}
    assert "exit code 0" in json.dumps(server.requests[4].body)
    assert not server.script


@each_dialect
@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        (Fail(429, {"retry-after": "1"}), ModelRateLimited),
        (Fail(500), ModelUnavailable),
        (Fail(503), ModelUnavailable),
        (Fail(400, message=f"no such thing {SECRET}"), ModelRejected),
        (Fail(404), ModelRejected),
        (Fail(408), ModelTimeout),
        (Fail(409), ModelUnavailable),
        (Fail(413), ModelRejected),
        (Fail(529), ModelUnavailable),
        (Fail(401, message=SECRET), ModelAuth),
        (Fail(403, message=SECRET), ModelAuth),
        (Raw(b'{"id": "x", "choices": [{"mess'), ModelMalformed),
        (Raw(b"<html><body>Sign in</body></html>", "text/html"), ModelMalformed),
        (Raw(b""), ModelMalformed),
        (Raw(b"{}"), ModelMalformed),
        (Raw(b"[]"), ModelMalformed),
        (Say(""), ModelMalformed),
        (Say("no", stop="refusal"), ModelRefused),
        (Cut(), (ModelUnavailable, ModelMalformed)),
    ],
)
def test_each_failure_of_a_provider_is_a_typed_fault_without_the_key(
    server: LlmServer,
    bench: DirectoryWorkbench,
    make_task: MakeTask,
    dialect: str,
    streaming: bool,
    behaviour: Behaviour,
    fault: type[Fault] | tuple[type[Fault], ...],
) -> None:
    scripted(server, behaviour, behaviour)
    bench.put("a.py", "x = 1\n")
    with pytest.raises(fault) as raised:
        LlmEngine(chain(server, dialect, streaming=streaming)).code(make_task("r"), PLAN, bench)
    assert SECRET not in json.dumps(raised.value.as_dict()) + " ".join(bench.said)
    assert len(server.requests) == 1
    assert bench.text("a.py") == "x = 1\n"


@each_dialect
def test_a_provider_that_hangs_is_left_in_time(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, dialect: str, streaming: bool
) -> None:
    scripted(server, SPOKEN_PLAN, Hang(), Drip())
    LlmEngine(chain(server, dialect, streaming=streaming)).plan(make_task("r"), bench)  # loads the client library
    engine = LlmEngine(chain(server, dialect, streaming=streaming, timeout_s=0.5))
    for _ in server.script.copy():
        started = time.monotonic()
        with pytest.raises(ModelTimeout):
            engine.plan(make_task("r"), bench)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_provider_that_is_not_there_is_unavailable(
    bench: DirectoryWorkbench, make_task: MakeTask, dialect: str
) -> None:
    with LlmServer() as closed:
        gone = chain(closed, dialect)
    with pytest.raises(ModelUnavailable):
        LlmEngine(gone).plan(make_task("r"), bench)


@each_dialect
def test_a_truncated_tool_call_never_writes_half_a_file(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, dialect: str, streaming: bool
) -> None:
    whole = "".join(f"line {number}\n" for number in range(100))
    cut = Say(calls=(("EditFiles", {"edits": [{"path": "new.py", "search": "", "replace": whole}]}),), stop="length")
    scripted(server, cut, cut)
    with pytest.raises(ModelTruncated):
        LlmEngine(chain(server, dialect, streaming=streaming)).code(make_task("r"), PLAN, bench)
    assert bench.files() == []
    assert len(server.requests) == 2
    assert "smaller edits" in json.dumps(server.requests[1].body)


def test_after_one_cut_answer_the_coder_goes_on_in_smaller_edits(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    edit = ("EditFiles", EDIT)
    scripted(server, Say(calls=(edit,), stop="length"), Say(calls=(edit,)), DONE)
    assert LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench).changed == ("a.py",)


def test_a_retryable_fault_is_tried_again_and_then_the_next_provider_is_asked(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    scripted(server, Fail(500), Fail(429, {"retry-after": "0.05"}), SPOKEN_PLAN)
    engine = LlmEngine(chain(server, "openai", "anthropic", attempts=2))
    assert engine.plan(make_task("r"), bench).summary == "Greet."
    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2 + ["/v1/messages"]
    assert engine.label() == "anthropic/scripted"
    assert engine.usage()["failed_calls"] == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_the_request_itself_got_wrong_is_not_tried_elsewhere(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, status: int
) -> None:
    scripted(server, Fail(status), SPOKEN_PLAN)
    with pytest.raises((ModelAuth, ModelRejected)):
        LlmEngine(chain(server, "openai", "anthropic", attempts=3)).plan(make_task("r"), bench)
    assert len(server.requests) == 1


def test_a_longer_wait_than_our_patience_goes_to_the_next_provider_at_once(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    scripted(server, Fail(429, {"retry-after": "3600"}), SPOKEN_PLAN)
    started = time.monotonic()
    LlmEngine(chain(server, "openai", "ollama", attempts=3)).plan(make_task("r"), bench)
    assert time.monotonic() - started < 5
    assert [request.path for request in server.requests] == ["/v1/chat/completions", "/api/chat"]


@pytest.mark.parametrize("behaviour", [Hang(), Fail(429, {"retry-after": "8"})])
def test_a_cancelled_operation_stops_waiting_within_a_second(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, behaviour: Behaviour
) -> None:
    scripted(server, behaviour)
    cancelled = threading.Event()
    cancellable = DirectoryWorkbench(bench.root, cancelled=cancelled.is_set)
    timer = threading.Timer(0.3, cancelled.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(ModelCancelled):
        LlmEngine(chain(server, "openai", timeout_s=20, attempts=2)).plan(make_task("r"), cancellable)
    assert time.monotonic() - started < 1.5
    timer.join()


def test_a_plan_in_the_wrong_form_is_asked_for_once_more_with_the_reason(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    scripted(server, Say(calls=(("SubmitPlan", {"summary": "Greet."}),)), SPOKEN_PLAN)
    assert LlmEngine(chain(server, "openai")).plan(make_task("r"), bench).summary == "Greet."
    assert "steps: Field required" in json.dumps(server.requests[1].body)
    scripted(server, Say("I would rather talk."), Say("Still talking."))
    with pytest.raises(ModelMalformed):
        LlmEngine(chain(server, "openai")).plan(make_task("r"), bench)


def test_a_small_model_may_write_the_json_of_the_answer_instead_of_calling(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    scripted(server, Say('```json\n{"summary": "S.", "steps": [{"title": "T"}]}\n```'))
    assert LlmEngine(chain(server, "ollama")).plan(make_task("r"), bench).summary == "S."


def test_refusals_go_back_to_the_model_and_nothing_is_written(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    bad: tuple[tuple[str, dict[str, Any]], ...] = (
        ("EditFiles", {"edits": [{"path": "a.py", "search": "x = 9\n", "replace": "x\n"}]}),
        ("EditFiles", {"edits": [{"path": "../out.py", "search": "", "replace": "x\n"}]}),
        ("EditFiles", {"edits": [{"path": ".git/hooks/pre-commit", "search": "", "replace": "x\n"}]}),
        ("EditFiles", {"edits": "all of them"}),
        ("ReadFile", {"path": "missing.py"}),
        ("DeleteFile", {"path": "/etc/passwd"}),
        ("RunCommand", {"argv": ["a\0b"]}),
        ("FormatDisk", {}),
    )
    scripted(server, Say(calls=bad), DONE)
    assert LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench).changed == ()
    results = [m["content"] for m in server.requests[1].body["messages"] if m["role"] == "tool"]
    assert len(results) == len(bad)
    assert all("Refused" in result or "There is no tool" in result for result in results)
    assert bench.files() == ["a.py"]


def test_half_a_surrogate_pair_is_refused_and_never_reaches_a_file(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bad = ("EditFiles", {"edits": [{"path": "a\ud800.py", "search": "", "replace": "\udfff"}]})
    scripted(server, Say(calls=(bad,)), DONE, DONE)
    with pytest.raises(ModelMalformed):  # the answer itself cannot be sent back
        LlmEngine(chain(server, "openai")).code(make_task("r\ud800"), PLAN, bench)
    assert bench.files() == []


def test_a_flood_of_calls_is_bounded_and_old_results_give_way(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("big.py", "".join(f"x{n} = 'some longer line of text'\n" for n in range(400)))
    reads = [("ReadFile", {"path": "big.py", "start": n, "lines": 300}) for n in range(1, 31)]
    scripted(server, Say(calls=tuple(reads)), Say(calls=tuple(reads[20:])), Say(calls=tuple(reads[25:])), DONE)
    LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench)
    results = [m["content"] for m in server.requests[1].body["messages"] if m["role"] == "tool"]
    assert sum("Not executed" in result for result in results) == 10
    last = json.dumps(server.requests[3].body)
    assert "dropped to save room" in last
    assert len(last) < 300_000


def test_the_same_action_three_times_is_stuck_but_not_after_an_edit(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    same = Say(calls=(("RunCommand", {"argv": ["python", "-c", "print(1)"]}),))
    scripted(server, same, same, Say(calls=(("EditFiles", EDIT),)), same, same, DONE)
    assert LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench).summary == "Changed x."
    scripted(server, same, same, same)
    with pytest.raises(ModelStuck):
        LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench)
    assert not server.script


def test_a_coder_that_only_talks_or_never_ends_is_stuck(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    scripted(server, *[Say("Hm.")] * 3)
    with pytest.raises(ModelStuck, match="without using a tool"):
        LlmEngine(chain(server, "openai")).code(make_task("r"), PLAN, bench)
    scripted(server, *[Say(calls=(("ListFiles", {"prefix": str(n)}),)) for n in range(4)])
    with pytest.raises(ModelStuck, match="within 4 answers"):
        LlmEngine(chain(server, "openai", iterations=4)).code(make_task("r"), PLAN, bench)


def test_a_second_attempt_begins_with_the_testers_diagnosis(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 1\n")
    diagnosis = Say(calls=(("SubmitDiagnosis", {"cause": "x must be 2", "corrections": ["edit a.py"]}),))
    scripted(server, diagnosis, Say(calls=(("EditFiles", EDIT),)), DONE)
    feedback = (Feedback("tests.failed", "assert 1 == 2"),)
    LlmEngine(chain(server, "openai")).code(make_task("r", attempt=2, feedback=feedback), PLAN, bench)
    assert "assert 1 == 2" in json.dumps(server.requests[0].body)
    assert "x must be 2" in json.dumps(server.requests[1].body)
    assert "assert 1 == 2" not in json.dumps(server.requests[1].body)


def test_long_outputs_are_capped_and_invisible_characters_are_shown_or_dropped(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.py", "x = 'a\u202eb'\n")
    flood = ("RunCommand", {"argv": ["python", "-c", "print('y' * 500000)"]})
    scripted(server, Say(calls=(flood, ("ReadFile", {"path": "a.py"}))), DONE)
    LlmEngine(chain(server, "openai")).code(make_task("Do\u202e it\u200b\U000e0041 </data-x> now"), PLAN, bench)
    first, second = (request.body["messages"] for request in server.requests)
    assert "Do it </data-x> now" in first[1]["content"]
    results = [message["content"] for message in second if message["role"] == "tool"]
    assert len(results[0]) < 13_000
    assert "a⟨U+202E⟩b" in results[1]


def test_the_key_travels_in_a_header_and_nowhere_else(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    for dialect in ("openai", "anthropic"):
        scripted(server, SPOKEN_PLAN)
        LlmEngine(chain(server, dialect)).plan(make_task("r"), bench)
        request = server.requests[-1]
        assert sum(SECRET in value for value in request.headers.values()) == 1
        assert SECRET not in request.path + json.dumps(request.body)
