"""The supervisor: order, readiness, restarts, the end, and nothing left behind. All processes are real."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.parts import ROOT, DataPathTooLong, Part, kept_secret, parts
from config.supervisor import AlreadyRunning, PortTaken, StackNotReady, Supervisor
from tests.patience import eventually

FOREVER = "import time\nwhile True: time.sleep(0.05)"


def program(name: str, code: str, **more: object) -> Part:
    return Part(name=name, argv=(sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "MOORAGE_DATA": str(tmp_path / "d"), "DJANGO_SETTINGS_MODULE": "config.settings"}


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervise(environment: dict[str, str], log: io.StringIO) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(*table: Part) -> Supervisor:
        made.append(Supervisor(table, environment, log=log))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def test_a_part_starts_only_when_what_it_stands_on_is_up(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    marker = tmp_path / "first-is-done"
    first = program("first", f"import time; time.sleep(0.3); open({str(marker)!r}, 'w')", once=True)
    second = program(
        "second",
        f"open({str(marker)!r}); print('works', flush=True)\n" + FOREVER,
        after=("first",),
        ready_line="works",
    )
    with supervise(first, second) as supervisor:
        assert set(supervisor.pids()) == {"second"}


def test_what_dies_is_started_again_and_the_log_says_so(supervise: Callable[..., Supervisor], log: io.StringIO) -> None:
    with supervise(program("part", FOREVER)) as supervisor:
        before = supervisor.pids()["part"]
        os.kill(before, signal.SIGKILL)
        eventually(lambda: supervisor.pids().get("part", before) != before)
        eventually(lambda: "part is up after" in log.getvalue().split("SIGKILL")[-1])
    assert "part killed by SIGKILL; starting it again in 0.2 s" in log.getvalue()


def test_a_part_that_never_comes_up_is_given_up_with_its_last_words(
    supervise: Callable[..., Supervisor],
) -> None:
    broken = program("broken", "import sys; print('the port is gone'); sys.exit(3)", ready_line="never")
    witness = program("witness", FOREVER, ready_line="never")
    supervisor = supervise(witness, broken)
    supervisor.start()
    with pytest.raises(StackNotReady, match=r"(?s)broken: ended with exit code 3.*the port is gone"):
        supervisor.wait_ready()
    supervisor.stop()
    assert supervisor.pids() == {}


def test_a_failed_migration_stops_the_start_at_once(supervise: Callable[..., Supervisor], log: io.StringIO) -> None:
    supervisor = supervise(
        program("migrate", "import sys; sys.exit('no such table')", once=True),
        program("web", FOREVER, after=("migrate",)),
    )
    supervisor.start()
    with pytest.raises(StackNotReady, match="no such table"):
        supervisor.wait_ready()
    assert "web" not in log.getvalue()


def test_waiting_too_long_names_each_part_and_its_reason(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(program("mute", FOREVER, probe=lambda: "it says nothing"))
    supervisor.start()
    with pytest.raises(StackNotReady, match="mute: it says nothing"):
        supervisor.wait_ready(timeout_s=0.5)


def test_the_end_comes_in_reverse_order(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    time.sleep(0.1); open({str(order)!r}, 'a').write(sys.argv[1] + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('works', flush=True)\n" + FOREVER
    )
    table = [
        Part(name=name, argv=(sys.executable, "-c", code, name), after=after, ready_line="works")
        for name, after in (("redis", ()), ("worker", ("redis",)), ("flower", ("worker", "redis")))
    ]
    with supervise(*table):
        pass
    assert order.read_text().split() == ["flower", "worker", "redis"]


def test_what_ignores_a_polite_stop_is_killed_with_its_whole_group(
    supervise: Callable[..., Supervisor], log: io.StringIO
) -> None:
    code = (
        "import signal, subprocess, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\n" + FOREVER
    )
    with supervise(program("stubborn", code, ready_line="child", stop_s=0.3)):
        child = int(log.getvalue().split("child ")[1].split()[0])
    assert "stubborn did not stop" in log.getvalue()
    eventually(lambda: gone(child))


def test_what_a_dead_part_leaves_of_its_group_is_killed(supervise: Callable[..., Supervisor], log: io.StringIO) -> None:
    code = (
        "import subprocess, sys\nchild = subprocess.Popen(['sleep', '600'])\n"
        "print('child', child.pid, flush=True)\n" + FOREVER
    )
    with supervise(program("parent", code, ready_line="child")) as supervisor:
        child = int(log.getvalue().split("child ")[1].split()[0])
        os.kill(supervisor.pids()["parent"], signal.SIGKILL)
        eventually(lambda: gone(child))


def test_an_ignored_interrupt_is_not_inherited(supervise: Callable[..., Supervisor], log: io.StringIO) -> None:
    was = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import signal; print('interrupt', signal.getsignal(signal.SIGINT), flush=True)\n" + FOREVER
        with supervise(program("part", code, ready_line="interrupt")):
            assert "default_int_handler" in log.getvalue()
    finally:
        signal.signal(signal.SIGINT, was)


def test_control_characters_of_a_part_never_reach_the_terminal(
    supervise: Callable[..., Supervisor], log: io.StringIO
) -> None:
    code = (
        "import sys; sys.stdout.buffer.write(b'\\x1b]0;owned\\x07\\x9b2J\\xff end\\n'); sys.stdout.flush()\n" + FOREVER
    )
    with supervise(program("hostile", code, ready_line="end")):
        pass
    assert all(character.isprintable() or character == "\n" for character in log.getvalue())


def test_a_second_supervisor_of_the_same_data_is_refused(supervise: Callable[..., Supervisor]) -> None:
    with supervise(program("part", FOREVER)), pytest.raises(AlreadyRunning, match=str(os.getpid())):
        supervise(program("part", FOREVER)).start()
    with supervise(program("part", FOREVER)):  # the first is gone: the lock is free again
        pass


def test_a_taken_port_is_named_with_its_setting_before_anything_starts(
    supervise: Callable[..., Supervisor], log: io.StringIO
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        supervisor = supervise(program("web", FOREVER, port=port, port_setting="MOORAGE_WEB_PORT"))
        with pytest.raises(PortTaken, match=f"Port {port}") as refused:
            supervisor.start()
    assert refused.value.remedy_text == "Set MOORAGE_WEB_PORT to a free port."
    assert log.getvalue() == ""


def test_a_program_that_does_not_exist_is_a_reason_and_no_traceback(
    supervise: Callable[..., Supervisor],
) -> None:
    supervisor = supervise(Part(name="nothing", argv=("/no/such/program",), ready_line="never"))
    supervisor.start()
    with pytest.raises(StackNotReady, match="/no/such/program: No such file or directory"):
        supervisor.wait_ready()


def test_leaving_parts_out_leaves_nobody_waiting_for_them(environment: dict[str, str]) -> None:
    table = parts(environment, leave_out=frozenset({"web", "gateway", "flower", "migrate"}))
    assert {"redis", "worker", "beat"} <= {part.name for part in table}
    assert {name for part in table for name in part.after} <= {part.name for part in table}


def test_a_redis_elsewhere_means_none_of_ours(environment: dict[str, str]) -> None:
    table = parts({**environment, "MOORAGE_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert "redis" not in {part.name for part in table}


def test_the_password_of_flower_is_in_no_argument_list(environment: dict[str, str]) -> None:
    table = parts({**environment, "MOORAGE_FLOWER_PASSWORD": "hunter2-hunter2"})
    assert "hunter2-hunter2" not in str([part.argv for part in table])
    assert "operator:hunter2-hunter2" in next(p.environment for p in table if p.name == "flower").values()


def test_a_socket_path_that_the_kernel_would_cut_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(DataPathTooLong):
        parts({**environment, "MOORAGE_DATA": str(tmp_path / ("d" * 100))})


def test_a_kept_secret_is_made_once_and_readable_for_us_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "one"
    assert kept_secret(path) == kept_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["one"]


REAL = """
import io, json, os, sys, threading
from config.supervisor import Supervisor, parts
table = parts(os.environ, leave_out=frozenset({"web", "gateway", "flower"}))
supervisor = Supervisor(table, os.environ, log=sys.stderr)
supervisor.start(); supervisor.wait_ready()
print(json.dumps(supervisor.pids()), flush=True)
supervisor.wait()
"""


def relatives(pid: int) -> list[psutil.Process]:
    """The process and all that it has started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.needs_redis
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_real_stack_survives_a_killed_redis_and_leaves_no_process_when_its_supervisor_is_killed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", REAL], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=written
        )
    try:
        assert process.stdout is not None
        with process.stdout:
            line = process.stdout.readline()
        assert line, log.read_text()
        assert (Path(environment["MOORAGE_DATA"]) / "run").stat().st_mode & 0o777 == 0o700
        pids = json.loads(line)
        before = {name: relatives(pid) for name, pid in pids.items()}
        assert len(before["worker"]) > 1, "its children"

        os.kill(pids["redis"], signal.SIGKILL)
        eventually(lambda: "redis is up" in log.read_text().partition("redis killed by SIGKILL")[2], within_s=120)
        family = psutil.Process(process.pid).children(recursive=True)
        assert set(before["beat"]) <= set(family), "the others live on"
        names = {name for child in family for name in ("redis-server", "celery") if name in " ".join(child.cmdline())}
        assert names == {"redis-server", "celery"}
        assert len(family) >= 5  # Redis, beat, the worker and its two children
    finally:
        process.kill()
        process.wait()
    everybody = {*family, *(one for part in before.values() for one in part)}
    _, alive = psutil.wait_procs(list(everybody), timeout=60)
    assert alive == [], log.read_text()


@pytest.mark.needs_redis
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_up_greets_once_and_stops_when_its_reader_has_gone(environment: dict[str, str], tmp_path: Path) -> None:
    names = ("MOORAGE_WEB_PORT", "MOORAGE_FLOWER_PORT", "MOORAGE_GATEWAY_PORT")
    with contextlib.ExitStack() as held:
        listeners = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = [listener.getsockname()[1] for listener in listeners]
    environment |= {name: str(port) for name, port in zip(names, ports, strict=True)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "Ctrl-C stops everything" in line:
                break
        text = "".join(seen)
        assert f"http://127.0.0.1:{ports[0]}/admin/" in text
        assert "sign in as admin with the password" in text
        family = psutil.Process(process.pid).children(recursive=True)
        process.stdout.close()
        os.kill(next(p.pid for p in family if "redis-server" in p.name()), signal.SIGKILL)  # gives it a line to write
        process.wait(timeout=300)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
