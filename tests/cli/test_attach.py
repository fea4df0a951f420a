"""``moorage attach`` on a real terminal, against a real web process, session host and shell."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from cli import relay_frames
from config.access.models import ApiToken, Scope, issue
from operations.models import Operation
from resources.sandboxes.protocol import Command, Sandbox
from resources.transcripts import Transcribed
from sessions import lifecycle, sharing
from sessions.host import wire
from sessions.models import SessionHost, Terminal
from tests.browser import rows
from tests.cli.conftest import ROOT
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess
from tests.patience import eventually
from tests.sessions.browser import Browser
from tests.sessions.conftest import DaemonProcess, agent, daemon, data, host, sandbox, stranger, user  # noqa: F401
from tests.sessions.viewer import Viewer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_redis]
LEAVE = b"\x1d"


class Person:
    """Somebody at a terminal of their own, in which ``moorage attach`` runs."""

    def __init__(self, *arguments: str, web: WebProcess, token: str) -> None:
        names = ("PATH", "HOME", "LANG")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        environment = {**kept, "MOORAGE_URL": f"http://{web.address}", "MOORAGE_TOKEN": token, "TERM": "xterm"}
        self.seen = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execve(sys.executable, [sys.executable, "-m", "cli.main", "attach", *arguments], environment)  # noqa: S606
        self.resize(100, 30)
        self._code: int | None = None

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.terminal, text)

    def read(self, wait_s: float) -> bool:
        """Read what comes next; False at the end."""
        if not select.select([self.terminal], [], [], wait_s)[0]:
            return True
        try:
            data = os.read(self.terminal, 65_536)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def read_until(self, wanted: bytes, *, within_s: float = 60) -> bytes:
        deadline = time.monotonic() + within_s
        while wanted not in self.seen:
            assert self.read(0.2), self.seen[-3000:]
            assert time.monotonic() < deadline, self.seen[-3000:]
        return self.seen

    def ready(self) -> None:
        """In control, behind the prompt."""
        self.read_until(b"leaves it; the program runs on.")
        deadline = time.monotonic() + 60
        mark = f"ready{time.monotonic_ns()}".encode()
        while mark + b"\r" not in self.seen:
            self.type(b"echo re''" + mark[2:] + b"\n")
            for _ in range(5):
                self.read(0.1)
            assert time.monotonic() < deadline, self.seen[-3000:]

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.terminal)

    def wait(self, *, within_s: float = 60) -> int:
        """The exit code, once all output was read."""
        deadline = time.monotonic() + within_s
        while self._code is None:
            self.read(0.05)
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.seen[-3000:]
        while self.read(0.2) and select.select([self.terminal], [], [], 0)[0]:
            pass
        return self._code

    def close(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)


Attach = Callable[..., Person]


@pytest.fixture
def web(daemon: DaemonProcess, redis_process: RedisProcess) -> Iterator[WebProcess]:  # noqa: F811 - a fixture
    database = str(connection.settings_dict["NAME"])
    process = WebProcess(database=database, redis_url=redis_process.url, application="tests.browser.web:application")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture
def token(user: Any) -> str:  # noqa: F811 - a fixture
    return issue(user=user, scope=Scope.WRITE)


@pytest.fixture
def attach(web: WebProcess, token: str, agent: Agent) -> Iterator[Attach]:  # noqa: F811 - a fixture
    people: list[Person] = []
    eventually(lambda: SessionHost.objects.exists())

    def start(*arguments: str, token: str = token) -> Person:
        people.append(Person(*arguments, web=web, token=token))
        return people[-1]

    yield start
    for person in people:
        person.close()


@pytest.fixture
def terminal(web: WebProcess, agent: Agent, user: Any) -> Terminal:  # noqa: F811 - fixtures
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work")


def test_agent_without_a_terminal_gets_one_and_its_program_s_code_is_ours(attach: Attach) -> None:
    ada = attach("skipper")
    before = ada.settings()
    ada.ready()
    assert ada.settings() != before, "raw"
    ada.type(b"stty size; echo to''gether\n")
    assert b"30 100" in ada.read_until(b"together\r")
    ada.resize(77, 22)
    eventually(lambda: Terminal.objects.get().columns == 77)
    ada.type(b"exit 7\n")
    assert ada.wait() == 7
    assert b"the program ended with 7" in ada.seen
    assert ada.settings() == before


def test_detach_key_leaves_the_program_running_and_the_terminal_as_it_was(attach: Attach, terminal: Terminal) -> None:
    ada = attach("work")
    before = ada.settings()
    ada.ready()
    ada.type(b"printf '\\033[?1049h\\033[?1000h\\033[?25l'; echo mo''des\n")
    ada.read_until(b"modes\r")
    ada.type(LEAVE)
    assert ada.wait() == 0
    assert ada.settings() == before
    rest = ada.seen.rpartition(b"modes\r")[2]
    for undone in (b"\x1b[?1049l", b"\x1b[?1000l", b"\x1b[?25h"):
        assert undone in rest
    assert b"detached; the program runs on" in rest
    eventually(lambda: Terminal.objects.get().state == "detached")
    again = attach(str(terminal.pk)[:8], "--detach-key", "ctrl-q")
    again.ready()
    again.type(b"\x11")
    assert again.wait() == 0


def test_signals_give_the_terminal_back(attach: Attach) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        ada = attach("skipper", "--new")
        before = ada.settings()
        ada.ready()
        assert ada.settings() != before, "raw"
        os.kill(ada.pid, number)
        assert ada.wait() == 128 + number
        assert ada.settings() == before


def test_failure_in_the_middle_gives_the_terminal_back_and_says_why(attach: Attach, terminal: Terminal) -> None:
    ada = attach("work")
    before = ada.settings()
    ada.ready()
    ApiToken.objects.all().delete()
    assert ada.wait() == 3
    assert b"You are signed out" in ada.seen
    assert ada.settings() == before


def test_broken_connection_is_said_and_resumed_without_a_lost_or_doubled_line(
    attach: Attach, web: WebProcess, terminal: Terminal
) -> None:
    ada = attach("work")
    ada.ready()
    ada.type(b"i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line-$i-; sleep 0.02; done; echo that' 'is' 'all\n")
    ada.read_until(b"line-30-")
    web.stop()
    ada.read_until(b"[moorage: connection lost")
    web.start()
    ada.read_until(b"that is all", within_s=90)
    assert [int(number) for number in re.findall(rb"line-(\d+)-\r", ada.seen)] == list(range(1, 301))
    ada.ready()  # all of it may have come at once: control is taken back a moment later
    ada.type(b"exit 5\n")
    assert ada.wait() == 5


def test_what_is_typed_at_once_and_while_the_line_is_away_is_not_lost(
    attach: Attach, web: WebProcess, terminal: Terminal
) -> None:
    ada = attach("work")
    ada.read_until(b"leaves it; the program runs on.")
    ada.type(b"echo at' 'once\n")
    ada.read_until(b"at once\r")
    web.kill()
    ada.read_until(b"what you type is sent once it is back")
    ada.type(b"echo mean")
    ada.type(b"' 'while\n")
    web.start()
    ada.read_until(b"mean while\r", within_s=90)
    assert ada.seen.count(b"mean while\r") == 1


def test_what_is_typed_while_the_line_is_away_never_gets_into_somebody_else_s_work(
    attach: Attach,
    web: WebProcess,
    daemon: DaemonProcess,  # noqa: F811
    terminal: Terminal,
) -> None:
    ada = attach("work")
    ada.ready()
    web.kill()
    ada.read_until(b"what you type is sent once it is back")
    ada.type(b"echo nev''er\n")
    with Viewer(daemon.socket) as other:
        other.attach(terminal)
        other.take_control()
        other.type(b"read answer\n")
        other.read_until(b"read answer\r\n")
    web.start()
    ada.read_until(b"what you typed meanwhile was not sent", within_s=90)
    ada.type(b"aye\necho $answer' 'aye\n")
    assert b"never" not in ada.read_until(b"aye aye\r")


def test_stopped_and_continued_it_gives_the_terminal_back_and_draws_the_screen_anew(
    attach: Attach, terminal: Terminal
) -> None:
    ada = attach("work")
    before = ada.settings()
    ada.ready()
    raw = ada.settings()
    ada.type(b"clear; echo on' 'screen\n")
    ada.read_until(b"on screen\r")
    os.kill(ada.pid, signal.SIGTSTP)
    found, status = os.waitpid(ada.pid, os.WUNTRACED)
    assert (found, os.WIFSTOPPED(status)) == (ada.pid, True)
    assert ada.settings() == before
    while ada.read(0.2) and select.select([ada.terminal], [], [], 0)[0]:
        pass
    ada.seen = b""
    os.kill(ada.pid, signal.SIGCONT)
    ada.read_until(b"on screen")
    assert ada.settings() == raw
    ada.type(b"echo af' 'ter; exit 4\n")
    ada.read_until(b"af ter\r")
    assert ada.wait() == 4
    assert ada.settings() == before


def test_window_that_is_closed_ends_it_and_leaves_the_program_running(attach: Attach, terminal: Terminal) -> None:
    ada = attach("work")
    ada.ready()
    os.close(ada.terminal)
    ada.terminal = os.open("/dev/null", os.O_RDONLY)
    _, status = os.waitpid(ada.pid, 0)
    ada._code = os.waitstatus_to_exitcode(status)
    assert ada._code == 128 + signal.SIGHUP
    eventually(lambda: Terminal.objects.get().state == "detached")


def test_size_that_changed_while_the_line_was_away_is_the_terminal_s_afterwards(
    attach: Attach, web: WebProcess, terminal: Terminal
) -> None:
    ada = attach("work")
    ada.ready()
    web.kill()
    ada.read_until(b"connection lost")
    ada.resize(71, 19)
    web.start()
    eventually(lambda: (Terminal.objects.get().columns, Terminal.objects.get().rows) == (71, 19))


def test_read_only_types_nothing_and_takes_no_control(
    attach: Attach, web: WebProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token) as typist:
        typist.attach(terminal)
        ada = attach("work", "--read-only")
        ada.read_until(b"leaves it")
        ada.type(b"echo ne''ver\n")
        typist.take_control()
        typist.type(b"echo by' 'another\n")
        ada.type(b"echo ne''ver\n")
        ada.read_until(b"by another")
        typist.type(b"echo at' 'last\n")
        assert b"never" not in ada.read_until(b"at last")
    ada.type(LEAVE)
    assert ada.wait() == 0


def test_whoever_is_in_control_is_named_and_taking_over_has_to_be_asked_for(
    attach: Attach, web: WebProcess, token: str, terminal: Terminal
) -> None:
    first = attach("work")
    first.ready()
    second = attach("work")
    second.read_until(b"ada is in control; you are watching")
    second.type(LEAVE)
    assert second.wait() == 0
    third = attach("work", "--take")
    third.ready()
    first.read_until(b"you are not in control any more")


def test_guest_who_may_watch_is_let_type_when_that_is_granted(
    attach: Attach, terminal: Terminal, user: Any, stranger: Any  # noqa: F811
) -> None:  # fmt: skip
    sharing.share(terminal.pk, user="eve", may_type=False, by=user)
    eve = attach(str(terminal.pk), token=issue(user=stranger, scope=Scope.WRITE))
    eve.read_until(b"# ")
    eve.type(b"echo ne''ver\n")
    sharing.share(terminal.pk, user="eve", may_type=True, by=user)
    eve.ready()
    assert b"never" not in eve.seen
    sharing.unshare(terminal.pk, user="eve", by=user)
    assert eve.wait() == 3
    assert b"You may not see this terminal any more" in eve.seen


def test_an_agent_is_watched_at_work_and_what_is_typed_goes_nowhere(
    attach: Attach, sandbox: Sandbox, data: Path, settings: Any  # noqa: F811
) -> None:  # fmt: skip
    settings.DATA = data
    ada = attach("--watch", "skipper")
    ada.read_until(b"as it happens.")  # its own terminal echoes no more
    ada.type(b"never\n")
    Transcribed(sandbox, label="test").run(Command(argv=("echo", "at work")))
    assert b"never" not in ada.read_until(b"at work\r\n")
    assert Terminal.objects.get().kind == "watch"
    ada.type(LEAVE)
    assert ada.wait() == 0


def test_an_operation_is_watched_by_the_beginning_of_its_id_and_what_cannot_be_is_said(
    attach: Attach, agent: Agent, user: Any, stranger: Any  # noqa: F811
) -> None:  # fmt: skip
    project = rows.project(user)
    underway, queued, ended = (rows.operation(user, of=project) for _ in range(3))
    Operation.objects.filter(pk=underway.pk).update(agent=agent, status="running", stage="code")
    Operation.objects.filter(pk=ended.pk).update(agent=agent, status="succeeded", completed_at=timezone.now())
    ada = attach("--watch", str(underway.pk)[:8])
    ada.read_until(b"as it happens.")
    ada.type(LEAVE)
    assert ada.wait() == 0
    foreign = issue(user=stranger, scope=Scope.WRITE)
    cases: tuple[tuple[str, dict[str, str], bytes], ...] = (
        (str(ended.pk), {}, b"The operation has ended (succeeded): nobody works any more."),
        (str(queued.pk), {}, b"The operation is queued and has no berth yet"),
        ("1", {}, b"There is no operation and no agent '1' that you may see."),
        (str(underway.pk), {"token": foreign}, b"There is no operation and no agent"),
        (str(underway.pk)[:8], {"token": foreign}, b"There is no operation and no agent"),
    )
    started = [attach("--watch", given, **how) for given, how, _ in cases]
    for one, (given, _, words) in zip(started, cases, strict=True):
        assert one.wait() == 3
        assert words in one.seen.replace(b"\r\n", b" "), given


def test_what_cannot_be_attached_is_said(attach: Attach) -> None:
    cases = [
        (("nobody",), 3, b"There is no open terminal and no agent 'nobody'"),
        (("00000000-0000-4000-8000-000000000000",), 3, b"There is no open terminal and no agent"),
        (("skipper", "--read-only"), 3, b"no open terminal"),
        (("skipper", "--read-only", "--take"), 2, b"goes with neither"),
        (("skipper", "--watch", "--new"), 2, b"goes with neither"),
        (("skipper", "--detach-key", "escape"), 2, b"is not a key"),
        (("skipper", "--detach-key", "ctrl-c"), 2, b"is needed in the terminal itself"),
    ]
    started = [attach(*arguments) for arguments, _, _ in cases]
    for one, (arguments, code, words) in zip(started, cases, strict=True):
        assert one.wait() == code, arguments
        assert words in one.seen.replace(b"\r\n", b" "), arguments


def test_client_speaks_the_frames_of_the_session_host() -> None:
    for kind in relay_frames.Kind:
        assert wire.Kind[kind.name] == kind
    for problem in relay_frames.Problem:
        assert wire.Problem[problem.name] == problem
    assert (relay_frames.SUBPROTOCOL, relay_frames.VERSION) == (wire.SUBPROTOCOL, wire.VERSION)
    assert (relay_frames.LIVE_ONLY, relay_frames.MOST_INPUT) == (wire.LIVE_ONLY, wire.MOST_INPUT)
    for kind, layout in relay_frames._LAYOUTS.items():
        assert wire.TOLD[wire.Kind[kind.name]].layout.format == layout
