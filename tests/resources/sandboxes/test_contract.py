"""What every tier promises: the same commands, the same answers."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Sandbox, SandboxFailed, SandboxGone
from tests.patience import eventually

from .conftest import ALL, Opener, python, shell, until_gone, until_seen


@pytest.fixture(params=ALL)
def sandbox(request: pytest.FixtureRequest, opener: Opener) -> Sandbox:
    return opener(request.param)


def test_exit_code_and_both_streams_come_back(sandbox: Sandbox) -> None:
    outcome = shell(sandbox, "echo out; echo err >&2; exit 7")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, b"out\n", b"err\n")
    assert not outcome.ok
    assert outcome.tier is sandbox.tier
    assert (outcome.truncated, outcome.timed_out, outcome.cancelled) == (False, False, False)


def test_death_by_signal_is_a_shell_exit_code(sandbox: Sandbox) -> None:
    assert shell(sandbox, "kill -9 $$").exit_code == 137


def test_missing_program_is_an_ordinary_127(sandbox: Sandbox) -> None:
    outcome = sandbox.run(Command(argv=("no-such-program",)))
    assert outcome.exit_code == 127
    assert b"no-such-program" in outcome.stderr


def test_command_without_a_program_or_with_nul_is_refused(sandbox: Sandbox) -> None:
    for argv in ((), ("",), ("echo", "a\0b")):
        with pytest.raises(SandboxFailed):
            sandbox.run(Command(argv=argv))


def test_working_directory_must_lie_in_the_workspace_and_exist(sandbox: Sandbox) -> None:
    workspace = Path(sandbox.reference()["profile"]["workspace"])
    assert shell(sandbox, "mkdir -p a/b").ok
    assert shell(sandbox, "pwd", cwd=workspace / "a/b").stdout.decode().strip() == str(workspace / "a/b")
    for cwd in (Path("/"), workspace / "..", workspace / "missing"):
        with pytest.raises(SandboxFailed):
            shell(sandbox, "true", cwd=cwd)


def test_large_input_reaches_the_command_and_comes_back_whole(sandbox: Sandbox) -> None:
    content = os.urandom(3_000_000)
    outcome = sandbox.run(Command(argv=("cat",), stdin=content, output_limit_bytes=4_000_000))
    assert outcome.stdout == content
    assert not outcome.truncated


def test_input_that_nobody_reads_does_no_harm(sandbox: Sandbox) -> None:
    assert sandbox.run(Command(argv=("true",), stdin=b"x" * 1_000_000)).ok


def test_huge_output_keeps_head_and_tail_within_the_limit(sandbox: Sandbox) -> None:
    script = "echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo last; head -c 5000000 /dev/zero >&2"
    outcome = shell(sandbox, script, output_limit_bytes=10_000)
    assert outcome.ok
    assert outcome.truncated
    assert outcome.stdout.startswith(b"first\n")
    assert outcome.stdout.endswith(b"last\n")
    assert len(outcome.stdout) < 10_100
    assert len(outcome.stderr) < 10_100


def test_timeout_kills_the_tree_with_daemons_of_other_sessions(sandbox: Sandbox) -> None:
    mark = f"61.{os.getpid()}{sandbox.tier.strength}"
    started = time.monotonic()
    outcome = shell(
        sandbox, f"setsid sleep {mark} & (setsid setsid sleep {mark} &); echo on; sleep {mark}", timeout_s=1
    )
    assert outcome.timed_out
    assert outcome.exit_code is None
    assert outcome.stdout == b"on\n"
    assert time.monotonic() - started < 40
    assert until_gone(mark) == []


def test_a_daemon_does_not_outlive_its_command_nor_hold_up_the_answer(sandbox: Sandbox) -> None:
    mark = f"62.{os.getpid()}{sandbox.tier.strength}"
    started = time.monotonic()
    outcome = shell(sandbox, f"setsid sleep {mark} & echo done")
    assert (outcome.exit_code, outcome.stdout) == (0, b"done\n")
    assert time.monotonic() - started < 40
    assert until_gone(mark) == []


def test_a_program_that_ignores_every_signal_is_killed(sandbox: Sandbox) -> None:
    assert shell(sandbox, "trap '' TERM INT HUP; while :; do sleep 0.1; done", timeout_s=0.5).timed_out


def test_cancellation_ends_the_command_soon(sandbox: Sandbox) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    outcome = sandbox.run(Command(argv=("sleep", "60")), cancelled=stop.is_set)
    assert outcome.cancelled
    assert not outcome.timed_out
    assert outcome.exit_code is None
    assert time.monotonic() - started < 40


def test_a_broken_cancellation_check_leaves_no_process(sandbox: Sandbox) -> None:
    mark = f"63.{os.getpid()}{sandbox.tier.strength}"

    def broken() -> bool:
        raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError, match="database"):
        sandbox.run(Command(argv=("sleep", mark)), cancelled=broken)
    assert until_gone(mark) == []


def test_environment_is_built_from_nothing(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, opener: Opener) -> None:
    monkeypatch.setenv("MOORAGE_SECRET_KEY", "leaks-if-seen")
    other = opener(sandbox.tier, environment={"COLOUR": "blue", "SHAPE": "round"}, ports={"web-ui": 23456})
    listed = shell(other, "env", environment={"SHAPE": "flat"}).stdout.decode()
    assert "leaks-if-seen" not in listed
    lines = set(listed.splitlines())
    workspace = other.reference()["profile"]["workspace"]
    assert {"COLOUR=blue", "SHAPE=flat", "PORT_WEB_UI=23456", "LANG=C.UTF-8"} <= lines
    assert f"HOME={workspace}/.moorage/home" in lines
    assert shell(other, 'cd "$HOME" && touch "$TMPDIR/x"').ok


def test_commands_run_side_by_side(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda n: shell(sandbox, f"echo {n}; sleep 0.2; exit {n}"), range(6)))
    assert [outcome.exit_code for outcome in outcomes] == list(range(6))
    assert [outcome.stdout for outcome in outcomes] == [f"{n}\n".encode() for n in range(6)]


def test_git_and_the_workspace_work(sandbox: Sandbox) -> None:
    script = (
        "git init -q r && cd r && echo x > a && chmod +x a && git add a && "
        "git -c user.name=n -c user.email=e@example.org commit -qm c && mkdir d && git mv a d/b && "
        "git -c user.name=n -c user.email=e@example.org commit -qm d && git status --porcelain"
    )
    outcome = shell(sandbox, script)
    assert (outcome.exit_code, outcome.stdout) == (0, b""), outcome.text()


def test_adopted_sandbox_is_the_same_one(sandbox: Sandbox) -> None:
    shell(sandbox, "echo kept > file")
    again = selection.adopt(sandbox.reference())
    assert again.tier is sandbox.tier
    assert again.note == sandbox.note
    assert shell(again, "cat file").stdout == b"kept\n"
    assert again.alive()


def test_closing_twice_is_fine_and_then_it_is_gone(sandbox: Sandbox) -> None:
    workspace = Path(sandbox.reference()["profile"]["workspace"])
    shell(sandbox, "echo work > file")
    sandbox.close()
    sandbox.close()
    assert not sandbox.alive()
    assert (workspace / "file").read_text() == "work\n"
    with pytest.raises(SandboxGone):
        selection.adopt(sandbox.reference())
    with pytest.raises(SandboxGone):
        shell(sandbox, "true")


def test_close_from_another_object_ends_what_still_runs(sandbox: Sandbox) -> None:
    mark = f"64.{os.getpid()}{sandbox.tier.strength}"
    pid, master = sandbox.spawn_pty(Command(argv=("sleep", mark)), columns=80, rows=24)
    assert until_seen(mark)
    selection.adopt(sandbox.reference()).close()
    assert until_gone(mark) == []
    os.waitpid(pid, 0)
    os.close(master)


def test_terminal_has_its_size_answers_and_ends_with_its_launcher(sandbox: Sandbox) -> None:
    mark = f"65.{os.getpid()}{sandbox.tier.strength}"
    pid, master = sandbox.spawn_pty(Command(argv=("sh",), environment={"PS1": "$ "}), columns=91, rows=33)
    os.write(master, f"stty size; (setsid sleep {mark} &) ; echo read''y\n".encode())
    assert b"33 91" in read_until(master, b"ready")
    assert until_seen(mark)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(master)
    assert until_gone(mark) == []


def test_interrupt_key_reaches_the_foreground_program(sandbox: Sandbox) -> None:
    script = "trap 'echo caught; exit' INT; echo up; while :; do sleep 0.1; done"
    pid, master = sandbox.spawn_pty(Command(argv=("sh", "-c", script)), columns=80, rows=24)
    read_until(master, b"up")
    os.write(master, b"\x03")
    assert b"caught" in read_until(master, b"caught")
    os.waitpid(pid, 0)
    os.close(master)


def test_stats_count_what_runs(sandbox: Sandbox) -> None:
    pid, master = sandbox.spawn_pty(Command(argv=("sh", "-c", "sleep 60; true")), columns=80, rows=24)
    eventually(lambda: (sandbox.stats().processes or 0) >= 2)  # the shell comes after its supervisor
    assert sandbox.stats().memory_mb is not None
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(master)


def test_python_runs_and_its_threads_do_too(sandbox: Sandbox) -> None:
    program = "import threading\nt=[threading.Thread(target=print,args=(n,)) for n in range(8)]\n[x.start() for x in t]"
    assert python(sandbox, program).ok


def read_until(master: int, wanted: bytes, *, within_s: float = 60.0) -> bytes:
    seen, deadline = b"", time.monotonic() + within_s
    while wanted not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 4096)
    assert wanted in seen, seen
    return seen


class Counting:
    """A peer that asks for the square of 1, 2, 3 … after each answer, and ends the input after the last."""

    def __init__(self, most: int) -> None:
        self.answers: list[bytes] = []
        self._asked, self._most, self._rest = 0, most, b""

    def heard(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.answers += lines

    def says(self) -> bytes | None:
        if self._asked > len(self.answers):
            return b""
        if self._asked == self._most:
            return None
        self._asked += 1
        return b"%d\n" % self._asked


SQUARES = "import sys\nfor line in sys.stdin: print(int(line) ** 2, flush=True)\nprint('over')"


def test_a_peer_speaks_with_a_running_command_and_ends_its_input(sandbox: Sandbox) -> None:
    peer = Counting(5)
    outcome = python(sandbox, SQUARES, peer=peer)
    assert outcome.exit_code == 0, outcome.stderr
    assert peer.answers == [b"1", b"4", b"9", b"16", b"25", b"over"]


class Offended(Counting):
    def heard(self, data: bytes) -> None:
        raise ValueError("not in that tone")


def test_what_a_peer_raises_ends_the_command_with_its_tree(sandbox: Sandbox) -> None:
    mark = f"63.{os.getpid()}{sandbox.tier.strength}"
    with pytest.raises(ValueError, match="tone"):
        shell(sandbox, f"setsid sleep {mark} & echo rude; sleep {mark}", peer=Offended(0))
    assert until_gone(mark) == []
