"""Side services: started once, there for every command, watched, and gone with the berth, in every tier."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from resources.sandboxes.protocol import Command, Sandbox
from resources.sandboxes.side_services import Served, Service, ServiceFailed, read

from .conftest import ALL, Opener, shell, until_gone

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"from the service")
    connection.close()
"""
CLIENT = "import socket, sys; print(socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(99).decode())"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(params=ALL)
def sandbox(request: pytest.FixtureRequest, opener: Opener, port: int) -> Sandbox:
    return opener(request.param, ports={"echo": port}, memory_mb=512)


def served(sandbox: Sandbox, *services: Service) -> tuple[Served, list[str]]:
    said: list[str] = []
    locks = Path(sandbox.reference()["profile"]["workspace"]).parent / "locks"
    return Served(sandbox, services=services, locks=locks, say=said.append), said


def test_every_command_reaches_the_one_service_at_its_port_until_the_berth_is_closed(
    sandbox: Sandbox, port: int
) -> None:
    mark = f"moorage-test-{port}"
    echo = Service("echo", ("python3", "-c", SERVER, str(port), mark), port=port)
    with_echo, said = served(sandbox, echo)
    for _again in range(2):
        outcome = with_echo.run(Command(argv=("python3", "-c", CLIENT, str(port)), timeout_s=30))
        assert (outcome.exit_code, outcome.stdout) == (0, b"from the service\n"), outcome.text()
    assert said[0] == "side services start: echo"
    assert said[1].startswith("service echo: ready after ")
    assert len(said) == 2, "it was started once"
    another, said_to_another = served(sandbox, echo)  # a later stage, in another worker
    assert another.run(Command(argv=("python3", "-c", CLIENT, str(port)), timeout_s=30)).ok
    assert len(said_to_another) == 1
    assert said_to_another[0].startswith("service echo: ready after ")
    (lock,) = (Path(sandbox.reference()["profile"]["workspace"]).parent / "locks").iterdir()
    sandbox.close()
    assert until_gone(mark) == []
    until = time.monotonic() + 60
    while lock.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not lock.exists()


MORTAL = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
for _ in range(2):  # whether it is ready, and one client
    listener.accept()[0].sendall(b"from the service")
"""


def test_one_that_dies_is_started_again_and_that_is_told(sandbox: Sandbox, port: int) -> None:
    with_echo, said = served(sandbox, Service("echo", ("python3", "-c", MORTAL, str(port)), port=port))
    assert with_echo.run(Command(argv=("python3", "-c", CLIENT, str(port)), timeout_s=30)).ok
    until = time.monotonic() + 60
    while not (told := [line for line in said if "started again" in line]) and time.monotonic() < until:
        assert with_echo.run(Command(argv=("true",))).ok
    assert told == ["service echo: it ended with exit code 0; started again, 1 of 5 times"]


def test_a_keeper_that_is_killed_takes_the_services_along_and_the_next_command_starts_them(
    sandbox: Sandbox, port: int
) -> None:
    mark = f"moorage-kept-{port}"
    with_echo, said = served(sandbox, Service("echo", ("python3", "-c", SERVER, str(port), mark), port=port))
    client = Command(argv=("python3", "-c", CLIENT, str(port)), timeout_s=30)
    assert with_echo.run(client).ok
    (lock,) = (Path(sandbox.reference()["profile"]["workspace"]).parent / "locks").iterdir()
    os.kill(int(lock.read_text().split()[1]), signal.SIGKILL)
    assert until_gone(mark) == []
    assert with_echo.run(client).ok
    assert "side services had ended and start again: echo" in said


def test_streams_and_exit_code_are_the_commands_own(sandbox: Sandbox) -> None:
    idle = Service("idle", ("sh", "-c", "echo not this; exec sleep 60"))
    with_idle, _said = served(sandbox, idle)
    outcome = with_idle.run(Command(argv=("sh", "-c", "cat; echo err >&2; exit 125"), stdin=b"in", timeout_s=30))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (125, b"in", b"err\n")
    assert with_idle.run(Command(argv=("no-such-program",))).exit_code == 127


def test_a_command_that_takes_too_long_has_timed_out_by_its_own_limit(sandbox: Sandbox) -> None:
    patient = Service("idle", ("sleep", "60"), ready=("true",), ready_timeout_s=60)
    with_idle, _said = served(sandbox, patient)
    outcome = with_idle.run(Command(argv=("sleep", "30"), timeout_s=1))
    assert (outcome.timed_out, outcome.exit_code) == (True, None)
    assert outcome.duration_s < 20


def test_a_service_that_ends_at_once_is_a_fault_with_its_last_words(sandbox: Sandbox) -> None:
    broken = Service("db", ("sh", "-c", "echo no data directory >&2; exit 3"), ready=("false",))
    with_broken, said = served(sandbox, broken)
    with pytest.raises(ServiceFailed, match="db: it ended with exit code 3 before it was ready") as caught:
        with_broken.run(Command(argv=("true",)))
    assert caught.value.facts["log"] == "no data directory\n"
    assert "no data directory" in said[-1]


def test_a_service_that_is_never_ready_is_given_up_after_its_time(sandbox: Sandbox, port: int) -> None:
    mark = f"moorage-late-{port}"
    late = Service("late", ("sh", "-c", "sleep 60; true", mark), port=port, ready_timeout_s=1)
    with_late, _said = served(sandbox, late)
    with pytest.raises(ServiceFailed, match="late: it was not ready within 1 s"):
        with_late.run(Command(argv=("true",)))
    assert until_gone(mark) == []


def test_a_service_whose_program_is_missing_says_which(sandbox: Sandbox) -> None:
    with_missing, _said = served(sandbox, Service("db", ("no-such-server",)))
    with pytest.raises(ServiceFailed, match="no-such-server cannot be started: No such file"):
        with_missing.run(Command(argv=("true",)))


def test_cancelling_a_command_leaves_the_services_to_the_next(sandbox: Sandbox, port: int) -> None:
    mark = f"moorage-cancelled-{port}"
    with_idle, _said = served(sandbox, Service("idle", ("sh", "-c", "sleep 60; true", mark)))
    workspace = Path(sandbox.reference()["profile"]["workspace"])
    began = workspace / "began"
    outcome = with_idle.run(
        Command(argv=("sh", "-c", f"touch {began}; sleep 60"), timeout_s=50), cancelled=began.exists
    )
    assert outcome.cancelled
    assert with_idle.run(Command(argv=("true",))).ok
    assert _said[2:] == []
    sandbox.close()
    assert until_gone(mark) == []


@pytest.mark.parametrize(
    "lie", ["[]", "{", '{"run": 3}', '{"services": {"echo": {"phase": ["x"], "why": {}}}}', "[" * 9000]
)
def test_what_the_inside_writes_about_its_services_is_not_believed(opener: Opener, lie: str) -> None:
    sandbox = opener(ALL[0].values[0])
    with_echo, said = served(sandbox, Service("echo", ("sleep", "60")))
    outcome = with_echo.run(
        Command(argv=("sh", "-c", 'printf %s "$1" > .moorage/services/state.json; exit 125', "sh", lie), timeout_s=20)
    )
    assert outcome.exit_code == 125
    assert said == ["side services start: echo", *said[1:]]
    assert all("ready after" in line for line in said[1:])


def test_a_link_in_place_of_a_log_shows_nothing_of_the_host(opener: Opener, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    sandbox = opener(ALL[0].values[0])
    assert shell(sandbox, f"mkdir -p .moorage/services && ln -s {secret} .moorage/services/db.log").ok
    script = f"rm -f .moorage/services/db.log; ln -s {secret} .moorage/services/db.log; exit 1"
    with_db, _said = served(sandbox, Service("db", ("sh", "-c", script), ready=("false",)))
    secret.chmod(0o400)
    with pytest.raises(ServiceFailed) as caught:
        with_db.run(Command(argv=("true",)))
    assert "of the host" not in caught.value.facts["log"]


def test_a_templates_services_get_the_numbers_of_their_ports() -> None:
    spec = {"services": [{"name": "db", "command": ["x"], "port": "db", "ready": ["y"], "ready_timeout_s": 5}]}
    assert read(spec, ports={"db": 21000}) == (Service("db", ("x",), port=21000, ready=("y",), ready_timeout_s=5),)
    assert read({}, ports={}) == ()
