"""Agent programs in real sandboxes, over real pipes: what they may do, and what becomes of those that behave badly."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.engines.external import faults
from agents.engines.external.assignment import Answer, Assignment, Mode, Stopped
from agents.engines.external.client import GREETING_S, AcpClient, Prompt, Served
from agents.engines.external.engine import ExternalEngine, Post
from agents.engines.external.jail import Jail
from agents.engines.external.lines import Lines, shown
from agents.engines.external.once import PROMPT_FILE, words_of
from agents.engines.external.permissions import Policy
from agents.engines.external.updates import Told
from agents.engines.protocol import CodeMap, Edits, Task, TestCounts
from agents.gateway.berth_ways import Way
from events.faults import Fault
from resources.sandboxes import launch
from resources.sandboxes.protocol import Sandbox, Tier
from tests.fakes import acp_agent
from tests.fakes.workbench import DirectoryWorkbench
from tests.flows.repositories import CALC, PROJECT
from tests.resources.sandboxes.conftest import Opener, marked_processes, opener, until_gone, until_seen

__all__ = ["opener"]

PROGRAM = Path(acp_agent.__file__).read_text()
MENDED = CALC.replace(acp_agent.WRONG, acp_agent.RIGHT)
TASK = Task("sub() must subtract.", CodeMap((), {"python": 2}, ("pytest",), TestCounts(1, 1)), base_tree="f" * 40)
TIERS = [
    pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap, id="process"),
    pytest.param(Tier.CONTAINER, marks=pytest.mark.needs_docker, id="container"),
]


class Berth:
    """A sandbox with the small project and the program beside it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.workspace = Path(sandbox.reference()["profile"]["workspace"])
        self.directory = self.workspace / "tree"
        self.stop = threading.Event()
        self.bench = DirectoryWorkbench(self.directory, cancelled=self.stop.is_set)
        self.told: list[dict[str, str]] = []
        for path, text in PROJECT.items():
            self.bench.put(path, text)
        self.bench.put("../agent.py", PROGRAM)
        for place in (self.directory, *self.directory.iterdir()):
            place.chmod(0o777)  # whatever uid the tier gives it

    def engine(
        self, *words: str, way: Way | None = None, decided: dict[str, bool] | None = None,
        stopped: Stopped | None = None, **said: Any,
    ) -> Any:  # fmt: skip
        python = "python3" if self.sandbox.tier is Tier.CONTAINER else launch.interpreter()
        program = (python, str(self.workspace / "agent.py"), *words)

        @contextmanager
        def opened() -> Iterator[Way]:
            yield way or Way()

        post = Post(
            self.sandbox, self.workspace, self.directory, opened, self.told.append, decided or {}, stopped=stopped
        )
        return ExternalEngine(Assignment(program, name="fake", **said), post)

    def code(self, *words: str, task: Task = TASK, **more: Any) -> Edits:
        engine = self.engine(*words, **more)
        return engine.code(task, engine.plan(task, self.bench), self.bench)

    @property
    def said(self) -> str:
        return "\n".join(self.bench.said)


Maker = Callable[..., Berth]


@pytest.fixture
def berth(opener: Opener) -> Berth:
    """In the process tier."""
    return Berth(opener(Tier.PROCESS))


@pytest.mark.parametrize("tier", TIERS)
def test_a_program_that_behaves_changes_the_files_and_tells_what_it_does(opener: Opener, tier: Tier) -> None:
    berth = Berth(opener(tier))
    engine = berth.engine("well")
    assert engine.label() == "fake (version unknown)"
    plan = engine.plan(TASK, berth.bench)
    assert engine.label() == "fake 1.4.2"  # and not what the program calls itself

    edits = engine.code(TASK, plan, berth.bench)

    assert berth.bench.text("calc.py") == MENDED
    assert edits == Edits(("calc.py",), "sub().")
    for line in ("plan: [pending] Mend sub()", "says: I look at calc.py", "says: and mend", "tool: edit Edit calc.py",
                 "wrote calc.py", "tool completed: Edit calc.py", "says: sub()."):  # fmt: skip
        assert line in berth.bench.said
    assert [(call["title"], call["kind"], call["status"]) for call in berth.told] == [
        ("Edit calc.py", "edit", "in_progress"), ("Edit calc.py", "edit", "completed"),
    ]  # fmt: skip
    assert engine.review(TASK, plan, "", {}, berth.bench).approved


@pytest.mark.parametrize("tier", TIERS)
def test_a_program_that_runs_once_is_judged_by_its_files_and_not_by_its_exit_code(opener: Opener, tier: Tier) -> None:
    berth = Berth(opener(tier))
    edits = berth.code("once-well", PROMPT_FILE, mode=Mode.COMMAND)
    assert edits == Edits(("calc.py",), "The program ended with exit code 9.")
    assert berth.bench.text("calc.py") == MENDED
    assert {"output: a banner", "assistant: I mend sub().", "result: All done!"} <= set(berth.bench.said)
    assert [call["kind"] for call in berth.told] == ["assistant", "result"]

    berth.bench.put("calc.py", CALC)
    idle = berth.code("once-lies", PROMPT_FILE, mode=Mode.COMMAND, version=("sh", "-c", "echo fake v2.3-beta"))
    assert idle == Edits((), "The program ended with exit code 0.")


pytestmark = pytest.mark.needs_bubblewrap


def test_a_program_that_lies_leaves_nothing_and_its_words_are_words(berth: Berth) -> None:
    assert berth.code("lies") == Edits((), "All tests pass. Pull request #7 is open.")


@pytest.mark.parametrize(
    ("answers", "option", "changed"),
    [({"execute": Answer.ALLOW}, "y", ("calc.py",)), ({"execute": Answer.DENY}, "n", ())],
)
def test_the_template_answers_what_a_program_asks(
    berth: Berth, answers: dict[str, Answer], option: str, changed: tuple[str, ...]
) -> None:
    edits = berth.code("asks", answers=answers)
    assert (edits.changed, edits.summary) == (changed, f"the answer is {option}")
    assert f'execute Run make all: {{"command": "make all"}}: {answers["execute"].value}' in berth.said


def test_what_is_left_to_a_person_ends_the_program_until_the_person_has_said_so(berth: Berth) -> None:
    ask = {"execute": Answer.ASK}
    with pytest.raises(faults.PermissionAsked) as asked:
        berth.code("asks", answers=ask)
    assert 'permission to execute Run make all: {"command": "make all"}' in asked.value.detail
    question = asked.value.facts["asked"]
    assert berth.code("asks", answers=ask, decided={question: True}).changed == ("calc.py",)
    berth.bench.put("calc.py", CALC)
    assert berth.code("asks", answers=ask, decided={question: False}).summary == "the answer is n"
    with pytest.raises(faults.PermissionAsked):  # something else is another question
        berth.code("asks", "make clean", answers=ask, decided={question: True})


@pytest.mark.parametrize(
    ("behaviour", "where"),
    [("resumes", "goes on"), ("loads", "goes on"), ("forgets", "was told"), ("remembers", "was told")],
)
def test_a_program_that_asked_goes_on_with_its_session_where_it_can_and_else_is_told_what_it_had_done(
    berth: Berth, behaviour: str, where: str
) -> None:
    ask = {"execute": Answer.ASK}
    with pytest.raises(faults.PermissionAsked) as asked:
        berth.code(behaviour, answers=ask)
    facts = asked.value.facts
    assert facts["words"] == 'execute Run make all: {"command": "make all"}'
    assert "says: it begins in session-" in facts["told"]
    assert bool(facts["session"]) is (behaviour != "remembers")
    berth.bench.said.clear()

    stopped = Stopped(facts["words"], True, "Go ahead.", facts["session"], facts["told"])
    edits = berth.code(behaviour, answers=ask, decided={facts["asked"]: True}, stopped=stopped)

    assert edits.changed == ("calc.py",)
    (said,) = [line for line in berth.bench.said if line.startswith("says: it ")]
    assert said.startswith(f"says: it {where} in session-")
    assert (facts["session"] != "" and facts["session"] in said) is (where == "goes on")
    assert "says: there is half of it" in berth.bench.said
    assert "says: this was said before" not in berth.bench.said  # what is loaded is told again to nobody


def test_what_programs_tell_piece_by_piece_is_put_together(berth: Berth) -> None:
    assert berth.code("pieces").changed == ("calc.py",)
    for line in (
        'tool: edit Edit calc.py: {"file_path": "calc.py"}', "tool failed: Edit calc.py: no such line",
        'permission: edit Edit calc.py: {"file_path": "calc.py"}: allow', "tool completed: Write it",
    ):  # fmt: skip
        assert line in berth.bench.said
    ended = [(call["title"], call["kind"]) for call in berth.told if call["status"] in ("failed", "completed")]
    assert ended == [("Edit calc.py", "edit"), ("Edit calc.py", "edit"), ("Write it", "edit")]


def test_a_program_at_a_loss_is_quoted_with_its_reason_and_its_errors(berth: Berth) -> None:
    with pytest.raises(faults.ProgramFailed, match="Internal error: no tokens are left"):
        berth.code("loss")
    assert "errors: I wanted more" in berth.bench.said


def test_a_program_reaches_no_file_but_those_of_its_directory(berth: Berth) -> None:
    (berth.directory / "link").symlink_to("/etc/passwd")
    passwd = Path("/etc/passwd").read_bytes()
    assert berth.code("escapes").changed == ("calc.py",)
    assert "WROTE" not in berth.said
    assert "READ" not in berth.said
    assert "Resource not found" in berth.said
    assert "terminal: Method not found" in berth.said
    assert Path("/etc/passwd").read_bytes() == passwd
    assert not (berth.workspace / "out.txt").exists()
    assert not (berth.directory / ".git").exists()


def stop_when_seen(berth: Berth, mark: str) -> None:
    def stop() -> None:
        until_seen(mark, within_s=30)
        berth.stop.set()

    threading.Thread(target=stop).start()


def test_a_program_that_hangs_is_told_to_stop_and_then_killed_with_its_tree(berth: Berth) -> None:
    mark = f"71.{os.getpid()}"
    stop_when_seen(berth, mark)
    with pytest.raises(faults.ProgramCancelled):
        berth.code("hangs", f"+{mark}")
    assert until_gone(mark) == []


def test_a_program_that_is_told_to_stop_may_end_its_turn(berth: Berth) -> None:
    mark = f"72.{os.getpid()}"
    stop_when_seen(berth, mark)
    with pytest.raises(faults.ProgramCancelled):
        berth.code("waits", f"+{mark}")
    assert berth.bench.text("cancelled.txt") == "yes"
    assert until_gone(mark) == []


def test_what_a_program_leaves_running_ends_with_its_turn(berth: Berth) -> None:
    mark = f"73.{os.getpid()}"
    assert berth.code("children", f"+{mark}").changed == ("calc.py",)
    assert until_gone(mark) == []


def test_a_program_that_roams_by_itself_writes_nothing_of_the_host(berth: Berth) -> None:
    assert berth.code("roams").changed == ("calc.py",)
    assert len([line for line in berth.bench.said if line.startswith("says: write /")]) == 5
    assert "WROTE" not in berth.said


def test_an_enormous_message_is_cut_and_the_work_goes_on(berth: Berth) -> None:
    assert berth.code("enormous").changed == ("calc.py",)
    assert max(map(len, berth.bench.said)) < 1000


@pytest.mark.parametrize(("behaviour", "code"), [("leaves", 0), ("cut", 0), ("killed", None)])
def test_a_program_that_is_gone_before_its_turn_is_over_ended_too_early(
    berth: Berth, behaviour: str, code: int | None
) -> None:
    with pytest.raises(faults.ProgramEnded) as ended:
        berth.code(behaviour)
    assert ended.value.facts["exit_code"] == code if code is not None else ended.value.facts["exit_code"] != 0
    assert marked_processes(behaviour) == []


def test_a_program_that_breaks_is_named_with_its_exit_code_and_last_words(berth: Berth) -> None:
    with pytest.raises(faults.ProgramEnded) as ended:
        berth.code("crashes")
    assert ended.value.facts["exit_code"] == 3
    assert "exit code 3 before its turn did. Traceback: it broke" in ended.value.detail


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ("floods", faults.Flood),
        ("nags", faults.Flood),
        ("garbage", faults.NotOurProtocol),
        ("unasked", faults.NotOurProtocol),
        ("newer", faults.OtherVersion),
        ("locked", faults.NotAuthenticated),
        ("refuses", faults.ProgramRefused),
    ],
)
def test_what_is_not_the_protocol_is_a_fault_with_a_way_on(berth: Berth, behaviour: str, fault: type[Fault]) -> None:
    started = time.monotonic()
    with pytest.raises(fault) as raised:
        berth.code(behaviour)
    assert raised.value.remedy_text
    assert time.monotonic() - started < 25
    assert marked_processes(behaviour) == []


def test_a_program_that_is_not_there_is_found_out_before_any_code_is_written(berth: Berth) -> None:
    engine = ExternalEngine(Assignment(("no-such-agent",)), berth.engine("well")._post)
    with pytest.raises(faults.ProgramMissing, match="no-such-agent cannot be started in the berth"):
        engine.plan(TASK, berth.bench)


def test_a_talkative_program_fills_no_log(berth: Berth) -> None:
    assert berth.code("chatters").changed == ("calc.py",)
    assert len(berth.bench.said) < 4100
    assert "the program says more than is kept" in berth.bench.said


def test_a_program_is_given_its_token_and_says_it_in_vain(berth: Berth) -> None:
    token = "mrt_" + "t" * 40
    way = Way({"OPENAI_BASE_URL": "http://gateway.moorage/openai/v1"}, {"OPENAI_API_KEY": token})
    berth.code("environment", way=way, environment={"EDITOR": "true"})
    words = next(line for line in berth.bench.said if line.startswith("says: "))
    assert {"OPENAI_API_KEY", "OPENAI_BASE_URL", "EDITOR"} <= set(words.split())
    assert token not in repr(way)
    told = Told(say=berth.bench.say, tool=berth.told.append)
    served = Served(berth.directory, Jail(berth.bench, berth.directory), Policy({}, decided={}))
    assert not AcpClient(prompt=Prompt("x"), served=served, told=told).done


def test_the_reason_of_the_last_attempt_reaches_the_program_fenced(berth: Berth) -> None:
    from agents.engines.external.prompt import prompt
    from agents.engines.protocol import Feedback, Plan, PlanStep

    sent_back = dataclasses.replace(TASK, attempt=2, feedback=(Feedback("tests.failed", "test_sub fails <!-- x -->"),))
    plan = Plan("By hand.", (PlanStep("Only sub()", ("calc.py",), "Leave add()."),))
    words = prompt(sent_back, plan)
    assert "Why attempt 1 was sent back (tests.failed)" in words
    assert "Leave add()." in words
    assert prompt(sent_back, plan) == words


# Without a sandbox: what a program would have to do for long, or cannot be made to do by a fake


def client(tmp_path: Path, clock: Callable[[], float] = lambda: 0.0, **more: Any) -> AcpClient:
    bench = DirectoryWorkbench(tmp_path)
    served = Served(tmp_path, Jail(bench, tmp_path), Policy({}, decided={}))
    told = Told(say=bench.say, tool=lambda _call: None)
    return AcpClient(prompt=Prompt("Mend it."), served=served, told=told, clock=clock, **more)


def test_a_program_that_does_not_greet_is_given_up(tmp_path: Path) -> None:
    now = [0.0]
    silent = client(tmp_path, clock=lambda: now[0])
    assert b'"initialize"' in (silent.says() or b"")
    assert silent.says() == b""
    now[0] = GREETING_S + 1
    with pytest.raises(faults.ProgramSilent):
        silent.says()


def test_a_program_that_takes_no_answers_cannot_make_us_keep_them(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x" * 900_000)
    greedy = client(tmp_path)
    greedy.heard(b'{"id":0,"result":{"protocolVersion":1}}\n{"id":1,"result":{"sessionId":"s"}}\n')
    read = b'{"id":1,"method":"fs/read_text_file","params":{"sessionId":"s","path":"%s/big.txt"}}\n'
    with pytest.raises(faults.NotOurProtocol, match="does not take the answers"):
        greedy.heard(read % str(tmp_path).encode() * 12)


@pytest.mark.parametrize(
    "message",
    [
        b'{"id":0,"result":{"protocolVersion":"one"}}\n',
        b'{"id":0,"result":[]}\n',
        b'{"id":true,"result":{}}\n',
        b'{"id":{"a":1},"method":"fs/read_text_file","params":{}}\n',
        b'{"id":0,"result":{"protocolVersion":1}}\n{"id":1,"result":{"sessionId":""}}\n',
    ],
)
def test_a_misshapen_message_is_a_breach_of_the_protocol(tmp_path: Path, message: bytes) -> None:
    with pytest.raises(faults.NotOurProtocol):
        client(tmp_path).heard(message)


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"\xff\xfe", b'"text"', b'{"method":7}', b'{"method":"session/update","params":{}}']
)
def test_a_line_that_means_nothing_does_nothing(tmp_path: Path, line: bytes) -> None:
    spoken = client(tmp_path)
    spoken.heard(line + b"\n")
    assert not spoken.done


def test_lines_come_whole_however_they_arrive_and_not_too_long() -> None:
    lines = Lines(longest=10, most=100)
    assert [lines.feed(piece) for piece in (b"a\nb", b"c", b"\n\nd")] == [[b"a"], [], [b"bc", b""]]
    with pytest.raises(faults.Flood):
        lines.feed(b"e" * 11)
    with pytest.raises(faults.Flood):
        Lines(most=5).feed(b"a\n" * 3)


def test_words_are_found_wherever_programs_put_them() -> None:
    assert words_of({"type": "text", "part": {"text": "in part"}}) == "in part"
    assert words_of({"item": {"type": "command_execution", "command": "make"}}) == "make"
    deep: Any = "never"
    for _ in range(9):
        deep = {"item": deep}
    assert words_of(deep) == words_of({"usage": 7}) == words_of(None) == ""
    assert shown("\x1b[2Jred\u202e\n  text") == "red⟨U+202E⟩ text"
