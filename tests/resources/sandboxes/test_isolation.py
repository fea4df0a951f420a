"""What the isolating tiers keep in and out, attacked from inside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from resources.sandboxes import cgroups, local
from resources.sandboxes.protocol import Sandbox, Tier

from .conftest import ISOLATING, Opener, marked_processes, python, shell, until_gone


@pytest.fixture(params=ISOLATING)
def sandbox(request: pytest.FixtureRequest, opener: Opener) -> Sandbox:
    return opener(request.param, memory_mb=256, pids=64)


def test_files_outside_cannot_be_read(sandbox: Sandbox, tmp_path: Path, opener: Opener) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    other = opener(sandbox.tier)
    neighbour = Path(other.reference()["profile"]["workspace"]) / "file"
    shell(other, "echo the-secret > file")
    workspace = Path(sandbox.reference()["profile"]["workspace"])
    (workspace / "link").symlink_to(secret)
    # World-readable, so that only the sandbox can be what refuses.
    for path in (secret, neighbour, "/etc/shadow", "link", f"/proc/{os.getpid()}/environ", f"/proc/1/root{secret}"):
        outcome = shell(sandbox, f"cat {path} && ls {tmp_path}")
        assert not outcome.ok
        assert b"the-secret" not in outcome.stdout
        assert b"root:" not in outcome.stdout


def test_nothing_outside_can_be_written(sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("before")
    target.chmod(0o666)
    tmp_path.chmod(0o777)
    for script in (
        f"echo after > {target}",
        f"rm -f {target}",
        f"touch {tmp_path}/new",
        f"mkdir {tmp_path}/d",
        f"ln -s /etc {tmp_path}/link",
        f"mv {target} {tmp_path}/moved",
        f"truncate -s 0 {target}",
        f"ln {target} stolen && echo x > stolen",
        "echo x > /proc/sys/kernel/core_pattern",
    ):
        shell(sandbox, script)
        assert target.read_text() == "before", script
        assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("berth")) == ["target"], script
    name = f"moorage-{os.getpid()}"
    assert not shell(sandbox, f"touch /usr/{name} || touch /etc/{name} || touch /{name} || touch /dev/{name}").ok


CONNECT = """
import socket, sys
family = socket.AF_UNIX if "/" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as s:
    s.settimeout(3)
    s.connect(sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1])))
print("connected")
"""


def test_a_listener_on_the_host_cannot_be_reached(sandbox: Sandbox, tmp_path: Path, opener: Opener) -> None:
    leased = opener(sandbox.tier, ports={"web": free_port()})
    path = tmp_path / "engine.sock"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as local_listener:
        local_listener.bind(os.path.relpath(path))
        local_listener.listen()
        path.chmod(0o777)
        for one in (sandbox, leased):
            for address in (str(listener.getsockname()[1]), str(path)):
                outcome = python(one, CONNECT, address)
                assert not outcome.ok
                assert b"connected" not in outcome.stdout
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_datagrams_fast_open_and_odd_sockets_do_not_get_out(sandbox: Sandbox, opener: Opener) -> None:
    leased = opener(sandbox.tier, ports={"web": free_port()})
    program = """
import socket, sys
port = int(sys.argv[1])
attempts = {
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "fast-open": lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", int(sys.argv[2]))),
    "mptcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", int(sys.argv[2]))),
    "packet": lambda: socket.socket(17, socket.SOCK_RAW, 0),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM, 0),
    "alg": lambda: socket.socket(38, 5, 0),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    print("did", name)
"""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        for one in (sandbox, leased):
            outcome = python(one, program, str(udp.getsockname()[1]), str(tcp.getsockname()[1]))
            assert outcome.ok, outcome.text()
            said = outcome.stdout.split()
            # A namespace of its own lets datagrams leave into its own loopback, where nobody is.
            assert set(said) <= {b"did", b"udp"}
        udp.settimeout(0.2)
        with pytest.raises(TimeoutError):
            udp.recv(1)
        tcp.settimeout(0)
        with pytest.raises(BlockingIOError):
            tcp.accept()


@pytest.mark.needs_landlock
def test_leased_port_can_be_served_and_dialled_and_no_other(opener: Opener) -> None:
    port, other = free_port(), free_port()
    sandbox = opener(Tier.LANDLOCK, ports={"web": port})
    serve = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(server.getsockname())
server.accept()[0].send(b"hello")
print(client.recv(9))
"""
    assert python(sandbox, serve, str(port)).stdout == b"b'hello'\n"
    assert not python(sandbox, serve, str(other)).ok


def test_dangerous_system_calls_are_refused(sandbox: Sandbox) -> None:
    program = """
import ctypes, errno, os, platform
names = "ptrace unshare mount bpf keyctl perf userfaultfd setns".split()
numbers = {"x86_64": dict(zip(names, (101, 272, 165, 321, 250, 298, 323, 308))),
           "aarch64": dict(zip(names, (117, 97, 40, 280, 219, 241, 282, 268)))}
libc = ctypes.CDLL(None, use_errno=True)
calls = {**numbers[platform.machine()], "io_uring": 425, "open_tree": 428, "pidfd_getfd": 438}
for name, number in calls.items():
    argument = 0x10000000 if name == "unshare" else 0
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(argument), 0, 0, 0, 0)
    if result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        print("let-through", name, result, ctypes.get_errno())
os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o644))
for mode in (0o4755, 0o2755):
    try:
        os.chmod("f", mode)
    except PermissionError:
        continue
    print("set-id", oct(mode))
try:
    os.open("g", os.O_CREAT | os.O_WRONLY, 0o4755)
    print("created set-id")
except PermissionError:
    pass
print(open("/proc/self/status").read() if os.access("/proc/self/status", os.R_OK) else "")
"""
    outcome = python(sandbox, program)
    assert outcome.ok, outcome.text()
    text = outcome.stdout.decode()
    for word in ("let-through", "set-id"):
        assert word not in text, text
    if "CapEff" in text:
        assert "CapEff:\t0000000000000000" in text
        assert "CapBnd:\t0000000000000000" in text or os.geteuid() != 0
        assert "NoNewPrivs:\t1" in text


def test_no_descriptor_of_ours_comes_along(sandbox: Sandbox) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    program = "import os\nfor n in range(3, 300):\n  try:\n    os.fstat(n); print('open', n)\n  except OSError: pass"
    assert python(sandbox, program).stdout == b""
    os.close(reader)
    os.close(writer)


def test_memory_beyond_the_limit_is_not_given(sandbox: Sandbox) -> None:
    program = "b=[]\nfor n in range(600):\n  b.append(bytearray(b'x'*(1<<20)))\nprint('took it all')"
    outcome = python(sandbox, program, timeout_s=60)
    assert not outcome.ok
    assert b"took it all" not in outcome.stdout
    assert python(sandbox, "print(len(bytearray(64 << 20)))").ok, "the next command is not punished"


def test_a_fork_bomb_is_bounded_and_gone_afterwards(sandbox: Sandbox) -> None:
    if sandbox.tier is not Tier.CONTAINER and os.geteuid() == 0:
        assert "pids" in cgroups.covered() or "pids" in sandbox.note
    program = """
import os, time
made = 0
try:
    while made < 400:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError:
    pass
print("made", made, flush=True)
"""
    outcome = python(sandbox, program, timeout_s=30)
    made = int(outcome.stdout.split()[1])
    if sandbox.tier is Tier.CONTAINER or "pids" in cgroups.covered():
        assert made < 64
    assert sandbox.stats().processes in (0, 1, 2)


def test_signals_do_not_reach_processes_outside(sandbox: Sandbox) -> None:
    with subprocess.Popen(["sleep", "60"]) as outside:
        shell(sandbox, f"kill -9 {outside.pid} {os.getppid()}; kill -9 -1")
        time.sleep(0.1)
        assert outside.poll() is None
        outside.kill()


@pytest.mark.parametrize("tier", ISOLATING)
def test_kill_9_of_the_worker_leaves_no_process(tier: Tier, opener: Opener) -> None:
    sandbox = opener(tier)
    mark = f"66.{os.getpid()}{tier.strength}"
    worker = textwrap.dedent(f"""
        import json, sys, django; django.setup()
        from resources.sandboxes import selection
        from resources.sandboxes.protocol import Command
        sandbox = selection.adopt(json.loads(sys.argv[1]))
        sandbox.run(Command(argv=("sh", "-c", "setsid sleep {mark} & sleep {mark}")))
    """)
    argv = [sys.executable, "-c", worker, json.dumps(sandbox.reference())]
    root = Path(__file__).parents[3]
    settings = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    with subprocess.Popen(argv, cwd=root, env=settings) as process:
        deadline = time.monotonic() + 60
        while len(marked_processes(mark)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(marked_processes(mark)) >= 2
        process.kill()
    assert until_gone(mark) == []
    deadline = time.monotonic() + 60
    while local.launchers(sandbox.reference()["name"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert local.launchers(sandbox.reference()["name"]) == []
    assert sandbox.alive()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("tier", ISOLATING[1:])
def test_the_inhabitant_has_a_name_and_cannot_change_it(opener: Opener, tier: Tier, data_directory: Path) -> None:
    sandbox = opener(tier, uid=210_777)
    assert shell(sandbox, "id -un").stdout.strip() not in {b"", b"root", b"210777"}
    assert not shell(sandbox, "echo x >> /etc/passwd").ok
