"""The agent inside a real container: what it does for us, what it refuses to its inhabitants, what it survives."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker
import pytest

from resources.sandboxes import door, selection
from resources.sandboxes.agent_client import HEADER, Kind
from resources.sandboxes.container import Carrier, ContainerSandbox
from resources.sandboxes.protocol import Command, SandboxFailed, SandboxGone, Tier

from .conftest import Opener, marked_processes, python, shell, until_gone, until_seen

pytestmark = pytest.mark.needs_docker


@pytest.fixture
def sandbox(opener: Opener) -> ContainerSandbox:
    opened = opener(Tier.CONTAINER)
    assert isinstance(opened, ContainerSandbox)
    assert opened.carrier is Carrier.AGENT
    return opened


def workspace_of(sandbox: ContainerSandbox) -> Path:
    return sandbox.profile.workspace


def still_serves(sandbox: ContainerSandbox) -> bool:
    return (
        sandbox._agent.run(  # the agent itself, without the fallback to the engine
            sandbox._plan(Command(argv=("echo", "here"))), Command(argv=("echo",), timeout_s=20), cancelled=None
        )[0].stdout
        == b"here\n"
    )


def serves_again(sandbox: ContainerSandbox) -> bool:
    deadline = time.monotonic() + 60
    while True:
        try:
            return still_serves(sandbox)
        except SandboxFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_neither_signal_nor_trace_nor_unlinking_from_inside_harms_the_agent(sandbox: ContainerSandbox) -> None:
    for script in (
        "kill -9 1; kill -STOP 1; kill -TERM -1; true",
        "kill -9 -1",
        "rm -rf /run/moorage/door/agent.sock; mv /run/moorage/door /run/moorage/elsewhere; ln -sf /etc/passwd "
        "/run/moorage/door/agent.sock",
        "rm -rf .moorage; git clean -xfd .",
        "cat /proc/1/mem /proc/1/environ /proc/1/fd/*; ls /proc/1/fd",
    ):
        outcome = shell(sandbox, script, timeout_s=20)
        assert b"MOORAGE" not in outcome.stdout
        assert sandbox.alive(), script
        if os.geteuid() == 0 or "door" not in script:
            assert still_serves(sandbox), script


def test_stopped_supervisors_are_ended_within_the_bound(sandbox: ContainerSandbox) -> None:
    mark = f"71.{os.getpid()}"
    started = time.monotonic()
    # The supervisor is the shell's parent: stopped, it cannot see that we hang up.
    outcome = shell(sandbox, f"sleep {mark} & kill -STOP $PPID; sleep {mark}", timeout_s=0.5)
    assert outcome.timed_out
    assert time.monotonic() - started < 40
    assert until_gone(mark) == []
    assert still_serves(sandbox)


def test_a_killed_supervisor_leaves_nothing_running(sandbox: ContainerSandbox) -> None:
    mark = f"72.{os.getpid()}"
    outcome = shell(sandbox, f"setsid sleep {mark} & sleep {mark} & kill -9 $PPID; sleep {mark}", timeout_s=20)
    assert outcome.exit_code == 137
    assert until_gone(mark) == []
    assert still_serves(sandbox)


def test_inhabitants_are_not_served(sandbox: ContainerSandbox) -> None:
    program = """
import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
try:
    s.connect("/run/moorage/door/agent.sock")
    print("said", s.recv(100))
except OSError as error:
    print("refused", error)
"""
    said = python(sandbox, program).stdout
    assert said.startswith(b"refused") or said == b"said b''\n", said


def test_random_requests_harm_nobody(sandbox: ContainerSandbox) -> None:
    chance = random.Random(7)
    for _ in range(150):
        with door.knock(workspace_of(sandbox), within_s=30) as connection:
            kind = chance.choice([0, 1, 2, 3, 16, 255])
            payload = chance.choice([b"", b"{}", b"[]", b'{"port": 0}', b'{"port": "x"}', chance.randbytes(50)])
            length = chance.choice([len(payload), 0, len(payload) + 9, 1 << 31])
            spare = [os.open(os.devnull, os.O_RDWR) for _ in range(chance.randrange(6))]
            try:
                socket.send_fds(connection, [HEADER.pack(length, kind) + payload], spare)
            except OSError:
                continue  # it hung up on us
            finally:
                for descriptor in spare:
                    os.close(descriptor)
    assert still_serves(sandbox)
    deadline = time.monotonic() + 60
    while (count := sandbox._agent.stats(sandbox.profile).processes) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert count == 0


def test_more_connections_than_it_takes_are_turned_away_and_it_recovers(sandbox: ContainerSandbox) -> None:
    idle = [door.knock(workspace_of(sandbox), within_s=30) for _ in range(80)]
    for connection in idle:
        connection.close()
    assert serves_again(sandbox)


def test_a_berth_without_a_free_process_says_so_and_recovers(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER, pids=24)
    bomb = "import os,time\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(60)\nexcept OSError: time.sleep(4)"
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(python, sandbox, bomb, timeout_s=30)
        time.sleep(1.5)
        with pytest.raises(SandboxFailed):
            shell(sandbox, "true", timeout_s=5)
        busy.result()
    assert shell(sandbox, "echo again").stdout == b"again\n"


SERVE = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
while True:
    client, _ = server.accept()
    content = b""
    while piece := client.recv(65536):
        content += piece
    client.sendall(content[::-1])
    client.close()
"""


def test_a_port_inside_is_dialled_and_bytes_go_both_ways_whole(sandbox: ContainerSandbox) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(sandbox.run, Command(argv=("python3", "-c", SERVE, "8123")), cancelled=stop.is_set)
        try:
            connection = dial_when_up(sandbox, 8123)
            content = os.urandom(3_000_000)
            with connection:
                connection.settimeout(30)
                threading.Thread(target=send_all, args=(connection, content)).start()
                received = b""
                while piece := connection.recv(1 << 16):
                    received += piece
            assert received == content[::-1]
            with pytest.raises(SandboxFailed, match="refused"):
                sandbox.dial(8124)
            for _ in range(5):
                sandbox.dial(8123).close()
        finally:
            stop.set()
            running.result()
    deadline = time.monotonic() + 60
    while (left := sandbox._agent.stats(sandbox.profile).processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == 0, "a relay ends with its connection"


def dial_when_up(sandbox: ContainerSandbox, port: int) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return sandbox.dial(port)
        except SandboxFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def send_all(connection: socket.socket, content: bytes) -> None:
    connection.sendall(content)
    connection.shutdown(socket.SHUT_WR)


def test_a_terminal_needs_no_client_of_the_engine(sandbox: ContainerSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    script = "stty size; echo hi > /dev/tty; echo ho > /dev/stderr; exit 5"
    pid, master = sandbox.spawn_pty(Command(argv=("sh", "-c", script)), columns=70, rows=20)
    seen = b""
    while select.select([master], [], [], 10)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:  # EIO: the last process has left the terminal
            break
        seen += piece
    assert seen.split() == [b"20", b"70", b"hi", b"ho"]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(master)


def test_kill_9_of_the_stand_in_or_its_parent_ends_the_terminals_tree(sandbox: ContainerSandbox) -> None:
    mark = f"73.{os.getpid()}"
    pid, master = sandbox.spawn_pty(
        Command(argv=("sh", "-c", f"setsid sleep {mark} & sleep {mark}")), columns=80, rows=24
    )
    assert until_seen(mark)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert until_gone(mark) == []
    os.close(master)
    session_host = textwrap.dedent("""
        import json, sys, time, django; django.setup()
        from resources.sandboxes import selection
        from resources.sandboxes.protocol import Command
        selection.adopt(json.loads(sys.argv[1])).spawn_pty(Command(argv=("sleep", sys.argv[2])), columns=80, rows=24)
        print("up", flush=True)
        time.sleep(60)
    """)

    argv = [sys.executable, "-c", session_host, json.dumps(sandbox.reference()), mark]
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    with subprocess.Popen(argv, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, env=settings) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert marked_processes(mark)
        process.kill()
    assert until_gone(mark) == []


def test_a_berth_without_its_agent_is_served_by_the_engine(sandbox: ContainerSandbox) -> None:
    door.remove(workspace_of(sandbox))
    assert shell(sandbox, "echo carried").stdout == b"carried\n"
    mark = f"74.{os.getpid()}"
    assert shell(sandbox, f"setsid sleep {mark} & sleep {mark}", timeout_s=1).timed_out
    assert until_gone(mark) == []
    stats = sandbox.stats()
    assert stats.processes is not None
    pid, master = sandbox.spawn_pty(Command(argv=("sleep", mark)), columns=80, rows=24)
    assert until_seen(mark)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    os.close(master)
    assert until_gone(mark) == []


def test_container_killed_in_mid_command_is_gone_and_adopted_again(sandbox: ContainerSandbox) -> None:
    def kill_soon() -> None:
        time.sleep(0.7)
        with closing(docker.from_env()) as client:
            client.containers.get(sandbox.name).kill()

    killer = threading.Thread(target=kill_soon)
    killer.start()
    with pytest.raises(SandboxGone):
        shell(sandbox, "sleep 30", timeout_s=40)
    killer.join()
    again = selection.adopt(sandbox.reference())
    assert isinstance(again, ContainerSandbox)
    assert again.carrier is Carrier.AGENT
    assert still_serves(again)


def test_closing_takes_the_door_away(sandbox: ContainerSandbox) -> None:
    assert door.place(workspace_of(sandbox)).is_dir()
    sandbox.close()
    assert not door.place(workspace_of(sandbox)).exists()


def test_memory_hog_dies_before_the_agent(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER, memory_mb=64)
    hogs = "import os\nfor n in range(8):\n  os.fork()\nb=[]\nwhile True: b.append(bytearray(b'x'*(1<<18)))"
    assert not python(sandbox, hogs, timeout_s=20).ok
    assert sandbox.alive()
    assert isinstance(sandbox, ContainerSandbox)
    assert serves_again(sandbox)


def test_the_document_lists_the_frames_that_are_spoken() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox-agent.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `([A-Z]+)` \|", page, re.M)
    assert {(int(number), name) for number, name in rows} == {(kind.value, kind.name) for kind in Kind}
    inside = (Path(__file__).parents[3] / "resources" / "sandboxes" / "berth_agent.py").read_text()
    spoken = dict(re.findall(r"^([A-Z]+(?:, [A-Z]+)*) = ([\d, ]+)  # (?:the|what)", inside, re.M))
    pairs = {
        (int(number), name)
        for names, numbers in spoken.items()
        for name, number in zip(names.split(", "), numbers.split(", "), strict=True)
    }
    assert pairs == {(kind.value, kind.name) for kind in Kind}
