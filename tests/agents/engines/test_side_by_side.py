"""Independent steps of a plan at one time, over HTTP; who waits for whom is a condition, never a time."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from agents.engines.llm import LlmEngine
from agents.engines.protocol import CopyFailed, Edits, Feedback, Plan, PlanStep
from agents.providers import Dialect, Model, ModelAuth, ModelCancelled, ModelChain, ModelStuck
from tests.agents.engines.conftest import MakeTask
from tests.fakes.llm_server import Behaviour, Fail, Hang, LlmServer, Once, Say
from tests.fakes.workbench import DirectoryWorkbench

ONE, TWO, THREE = (f"Carry out step {number} of the plan" for number in (1, 2, 3))
REST = "Of the plan, carry out these steps now"
PLAN = Plan("Both.", (PlanStep("Mend a", ("a.py",)), PlanStep("Mend b", ("b.py",))))
Told = list[tuple[int, str, str]]


def call(name: str, **arguments: Any) -> Say:
    return Say(calls=((name, arguments),))


def edit(path: str, search: str, replace: str) -> Say:
    return call("EditFiles", edits=[{"path": path, "search": search, "replace": replace}])


def done(summary: str = "Done.") -> Say:
    return call("Done", summary=summary)


A, B = edit("a.py", "x = 1\n", "x = 2\n"), edit("b.py", "x = 1\n", "x = 3\n")


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


@pytest.fixture
def bench(bench: DirectoryWorkbench) -> DirectoryWorkbench:
    for name in ("a.py", "b.py", "c.py"):
        bench.put(name, "x = 1\n")
    return bench


def plays(server: LlmServer, **parts: tuple[Behaviour, ...]) -> None:
    named = {"one": ONE, "two": TWO, "three": THREE, "rest": REST}
    server.parts = {named[name]: deque(script) for name, script in parts.items()}


def engine(server: LlmServer, told: Told | None = None, **more: Any) -> LlmEngine:
    model = Model(Dialect.OPENAI, "scripted", server.base_url("openai"), "sk-x")
    bounds: dict[str, Any] = {"timeout_s": 20.0, "attempts": 1, "backoff_s": 0.01, "side_by_side": 2} | more
    kept: Told = [] if told is None else told
    return LlmEngine(ModelChain((model,), **bounds), told=lambda *news: kept.append(news))


def finished(server: LlmServer) -> bool:
    return not server.script and not any(server.parts.values())


def tools(server: LlmServer, part: str) -> str:
    """What the tools answered in the last request of a part."""
    messages = server.holding(part)[-1].body["messages"]
    return "\n".join(message["content"] for message in messages if message["role"] == "tool")


def test_two_steps_with_other_files_overlap_and_give_what_one_after_the_other_gives(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    # Each first answer is held back until the other step has asked, too.
    plays(server, one=(Once(A, TWO), done("a.")), two=(Once(B, ONE), done("b.")))
    told: Told = []
    working = engine(server, told)
    assert working.code(make_task("r"), PLAN, bench) == Edits(("a.py", "b.py"), "Step 1: a.\nStep 2: b.")
    assert (bench.text("a.py"), bench.text("b.py")) == ("x = 2\n", "x = 3\n")
    assert working.usage() == {"calls": 4, "failed_calls": 0, "input_tokens": 44, "output_tokens": 28}
    assert finished(server)
    assert told[:2] == [(1, "Mend a", "begun"), (2, "Mend b", "begun")]
    assert sorted(told[2:]) == [(1, "Mend a", "done"), (2, "Mend b", "done")]
    assert {"[step 1] edited a.py", "[step 2] edited b.py"} <= set(bench.said)
    assert sorted(path.name for path in bench.root.parent.iterdir()) == ["checkout"]


def test_each_step_sees_the_files_as_they_were_whatever_the_other_did_meanwhile(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    look = call("ReadFile", path="a.py")
    # The second step looks once the first has changed its file.
    plays(server, one=(A, done()), two=(Once(look, "Changed: a.py"), B, done()))
    engine(server).code(make_task("r"), PLAN, bench)
    assert "    1|x = 1" in tools(server, TWO)
    assert finished(server)


@pytest.mark.parametrize(
    ("second", "most"),
    [(PlanStep("t", ("a.py",)), 2), (PlanStep("t"), 2), (PlanStep("t", ("b.py",), "", (1,)), 2),
     (PlanStep("t", ("b.py",)), 1)],
    ids=["the same file", "no file named", "one needs the other", "one at a time"],
)  # fmt: skip
def test_what_is_not_independent_is_done_in_order_by_one_coder(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask, second: PlanStep, most: int
) -> None:
    server.script.extend([A, edit("a.py", "x = 2\n", "x = 4\n"), done()])
    told: Told = []
    plan = Plan("Both.", (PLAN.steps[0], second))
    engine(server, told, side_by_side=most).code(make_task("r"), plan, bench)
    assert bench.text("a.py") == "x = 4\n"
    assert (len(server.requests), told) == (3, [])


def test_a_step_that_needs_them_comes_after_both_and_sees_what_they_did(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    third = edit("c.py", "x = 1\n", "x = 6\n")
    plays(server, one=(A, done()), two=(B, done()), rest=(call("ReadFile", path="b.py"), third, done("c.")))
    plan = Plan("All.", (*PLAN.steps, PlanStep("Mend c", ("c.py",), "", (1, 2))))
    assert engine(server).code(make_task("r"), plan, bench).summary.splitlines()[-1] == "step 3: c."
    assert "x = 3" in tools(server, REST)
    assert "Finished, and in the files already: 1, 2." in json.dumps(server.holding(REST)[0].body)
    assert bench.text("c.py") == "x = 6\n"


def test_an_edit_outside_of_the_step_is_refused_with_words_and_done_afterwards(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    twice = [{"path": path, "search": "x = 1\n", "replace": "x = 9\n"} for path in ("a.py", "b.py")]
    outside = (("EditFiles", {"edits": twice}), ("DeleteFile", {"path": "c.py"}),
               ("EditFiles", {"edits": [{"path": "new.py", "search": "", "replace": "y = 1\n"}]}))  # fmt: skip
    plays(
        server,
        one=(Say(calls=outside), A, done("c.py must go, too.")),
        two=(B, done()),
        rest=(call("DeleteFile", path="c.py"), done("c.py is gone.")),
    )
    changed = engine(server).code(make_task("r"), PLAN, bench).changed
    refused = tools(server, ONE)
    assert refused.count("Refused, nothing was written") == 3
    assert "b.py is none of the files of this step (a.py)" in refused
    assert "it is done afterwards" in refused
    assert (bench.text("a.py"), bench.text("b.py")) == ("x = 2\n", "x = 3\n")
    assert changed == ("a.py", "b.py", "c.py")
    told_then = json.dumps(server.holding(REST)[0].body)
    assert "changes to others were not taken: b.py, c.py, new.py" in told_then
    assert "c.py must go, too." in told_then


def test_what_a_command_changes_outside_of_its_step_is_not_taken_but_told(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    def command(source: str) -> Say:
        return call("RunCommand", argv=["python", "-c", source])

    both = "open('b.py','w').write('broken'); open('a.py','w').write('x = 2\\n'); open('new.txt','w')"
    plays(server, one=(command(both), done()), two=(B, done()), rest=(done("Nothing is missing."),))
    assert engine(server).code(make_task("r"), PLAN, bench).changed == ("a.py", "b.py")
    assert bench.text("b.py") == "x = 3\n"
    assert "changes to others were not taken: b.py, new.txt" in json.dumps(server.holding(REST)[0].body)


def test_a_file_that_goes_one_that_comes_and_a_mode_are_taken_over(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    made = call("EditFiles", edits=[{"path": "new/b.sh", "search": "", "replace": "true\n"}])
    executable = call("RunCommand", argv=["chmod", "+x", "new/b.sh"])
    plays(server, one=(call("DeleteFile", path="a.py"), done()), two=(made, executable, done()))
    plan = Plan("Both.", (PLAN.steps[0], PlanStep("A script", ("new/b.sh",))))
    assert engine(server).code(make_task("r"), plan, bench).changed == ("a.py", "new/b.sh")
    assert (bench.root / "new/b.sh").stat().st_mode & 0o111
    assert not bench.exists("a.py")


def test_a_step_whose_coder_gives_up_leaves_the_work_of_the_other_and_is_done_anew(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    half = edit("a.py", "x = 1\n", "x = 'half of it'\n")
    plays(server, one=(half, Say("Hm."), Say("Hm."), Say("Hm.")), two=(B, done("b.")), rest=(A, done("a, in the end.")))
    told: Told = []
    changed = engine(server, told).code(make_task("r"), PLAN, bench)
    assert (bench.text("a.py"), bench.text("b.py")) == ("x = 2\n", "x = 3\n")
    assert changed.summary == "Step 2: b.\nstep 1: a, in the end."
    assert "answered 3 times without using a tool" in json.dumps(server.holding(REST)[0].body)
    assert [state for number, _, state in told if number == 1] == ["begun", "left", "begun", "done"]


def test_a_step_that_stays_without_an_end_is_a_fault_and_what_the_other_did_is_in_the_files(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    plays(server, one=(Say("Hm."),) * 3, two=(B, done()), rest=(Say("Hm."),) * 3)
    with pytest.raises(ModelStuck):
        engine(server).code(make_task("r"), PLAN, bench)
    assert bench.text("b.py") == "x = 3\n"


def test_a_fault_that_concerns_all_stops_the_others_and_is_the_one_that_is_told(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    plays(server, one=(Hang(20),), two=(Fail(401),))
    with pytest.raises(ModelAuth):
        engine(server).code(make_task("r"), PLAN, bench)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("step")] == []
    assert sorted(path.name for path in bench.root.parent.iterdir()) == ["checkout"]


def test_a_cancellation_stops_all_steps_and_takes_nothing_over(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    plays(server, one=(A, Hang(20)), two=(B, Hang(20)))
    cancellable = DirectoryWorkbench(
        bench.root, cancelled=lambda: len(server.holding("Changed: a.py")) + len(server.holding("Changed: b.py")) == 2
    )
    with pytest.raises(ModelCancelled):
        engine(server).code(make_task("r"), PLAN, cancellable)
    assert (bench.text("a.py"), bench.text("b.py")) == ("x = 1\n", "x = 1\n")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("step")] == []
    assert sorted(path.name for path in bench.root.parent.iterdir()) == ["checkout"]


def test_commands_of_steps_take_turns(server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    # Each marks its time in a place that both see; it fails where it finds the mark of the other.
    place = bench.root.parent / "busy"
    source = (f"import os, time; p = {str(place)!r}; os.close(os.open(p, os.O_CREAT | os.O_EXCL)); "
              "time.sleep(0.3); os.unlink(p)")  # fmt: skip
    command = call("RunCommand", argv=["python", "-c", source])
    plays(server, one=(Once(command, TWO), done()), two=(Once(command, ONE), done()))
    engine(server).code(make_task("r"), PLAN, bench)
    assert all("exit code 0" in tools(server, part) for part in (ONE, TWO))


def test_all_steps_together_get_no_more_answers_than_one_coder(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    lists = [call("ListFiles", prefix=str(number)) for number in range(40)]
    plays(server, one=tuple(lists), two=tuple(lists), rest=tuple(lists))
    with pytest.raises(ModelStuck):
        engine(server, iterations=12).code(make_task("r"), PLAN, bench)
    assert [len(server.holding(part)) for part in (ONE, TWO, REST)] == [4, 4, 4]


def test_where_there_is_no_room_for_copies_the_steps_are_done_in_order(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    class Full(DirectoryWorkbench):
        def copied(self, name: str) -> Any:
            raise CopyFailed("there is no room")

    full = Full(bench.root)
    plays(server, rest=(A, B, done()))
    assert engine(server).code(make_task("r"), PLAN, full).changed == ("a.py", "b.py")
    assert "steps 1, 2: one after the other, since there is no room" in full.said


def test_what_was_sent_back_is_mended_by_one_coder(
    server: LlmServer, bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    server.script.extend([call("SubmitDiagnosis", cause="a and b", corrections=[]), A, B, done()])
    task = make_task("r", attempt=2, feedback=(Feedback("tests.failed", "both"),))
    assert engine(server).code(task, PLAN, bench).changed == ("a.py", "b.py")
