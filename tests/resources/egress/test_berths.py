"""From inside a real sandbox, through a real proxy process: what leaves, what does not, and what is seen of it."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from events.models import Event
from resources import leases
from resources.egress import berths, daemon, grants
from resources.files import Beneath
from resources.models import Host, Lease
from resources.sandboxes import launch, passwd, selection
from resources.sandboxes.protocol import Command, Outcome, Profile, Sandbox, Tier
from resources.sandboxes.way_out import EgressUnavailable
from tests import factories
from tests.at_once import at_once
from tests.patience import eventually

from .proxy_process import ProxyProcess

pytestmark = pytest.mark.django_db(transaction=True)
GUARDED = [
    pytest.param(Tier.PROCESS, marks=pytest.mark.needs_bubblewrap, id="process"),
    pytest.param(Tier.CONTAINER, marks=pytest.mark.needs_docker, id="container"),
]
NAMES = {
    "ok.example": ["127.0.0.1"], "later.example": ["127.0.0.1"], "rebind.example": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
}  # fmt: skip
FETCH = """
import sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, timeout=20).read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode().strip())
    except OSError as error:
        print("nothing:", error)
"""
AROUND = """
import os, socket, sys
for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]
for family, address in ((socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))), (socket.AF_INET, ("192.0.2.1", 80))):
    try:
        socket.create_connection(address, timeout=2)
        print("REACHED", address)
    except OSError as error:
        print("refused", address)
try:
    print("RESOLVED", socket.getaddrinfo("ok.example", 80))
except OSError:
    print("no names")
"""


# A client that knows of no proxy, one that knows of no NO_PROXY, and one that would rather have a tunnel, as Node's do.
AT_THE_DOOR = """
import http.client, os, sys
from urllib.parse import urlsplit
assert sys.argv[1] == os.environ["SERVICE"] + "/", sys.argv
door, proxy = urlsplit(os.environ["SERVICE"]), urlsplit(os.environ["HTTP_PROXY"])
plain = http.client.HTTPConnection(door.netloc, timeout=20)
plain.request("GET", "/")
led = http.client.HTTPConnection(proxy.netloc, timeout=20)
led.request("GET", sys.argv[1])
tunnelled = http.client.HTTPConnection(proxy.netloc, timeout=20)
tunnelled.set_tunnel(door.hostname, door.port)
answers = [plain.getresponse(), led.getresponse()]
try:
    tunnelled.request("GET", "/")
    answers.append(tunnelled.getresponse())
except OSError as error:
    print("no tunnel:", error)
for answer in answers:
    print(answer.status, answer.read().decode().strip())
"""


class Hello(http.server.BaseHTTPRequestHandler):
    """Says hello to whoever gets here."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from outside")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a web server outside."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


class Berths:
    """Opens berths of one host, with the rows that agents would make."""

    def __init__(self, host: Host, place: Path) -> None:
        self.host = host
        self._place = place
        self.opened: list[tuple[Sandbox, Path]] = []

    def open(self, tier: Tier, *, project_id: uuid.UUID | None = None, **network: object) -> tuple[Sandbox, str]:
        """A sandbox and its owner."""
        owner, now = f"agent:{uuid.uuid4()}", timezone.now()
        key = f"{owner.removeprefix('agent:')}-1"
        workspace = self._place / key
        workspace.mkdir()
        way_out = berths.prepare(
            host=self.host, owner=owner, generation=1, key=key, network=network, template="python",
            project_id=project_id, now=now, expires_at=now + timedelta(minutes=5),
        )  # fmt: skip
        profile = Profile(
            owner=owner, generation=1, workspace=workspace, cpu_millis=2000, egress=way_out,
            environment=berths.environment(network),
        )  # fmt: skip
        sandbox = selection.open_sandbox(profile, minimum=tier, prefer=tier, allow_bare=True)
        self.opened.append((sandbox, workspace))
        return sandbox, owner


@pytest.fixture
def host(data_directory: Path) -> Host:
    return factories.host("node-a")


@pytest.fixture
def harbour(host: Host, tmp_path: Path) -> Iterator[Berths]:
    made = Berths(host, tmp_path)
    yield made
    for sandbox, workspace in made.opened:
        sandbox.close()
        Beneath(workspace).remove_tree()


@pytest.fixture
def proxy(data_directory: Path, host: Host, port: int) -> Iterator[ProxyProcess]:
    process = ProxyProcess(
        data=data_directory,
        database=str(connection.settings_dict["NAME"]),
        host="node-a",
        names=NAMES,
        private=["ok.example", "later.example"],
        ours={"service.moorage": port},
    )
    process.start()
    yield process
    process.close()


def python(sandbox: Sandbox, program: str, *arguments: str) -> Outcome:
    interpreter = "python3" if sandbox.tier is Tier.CONTAINER else launch.interpreter()
    return sandbox.run(Command(argv=(interpreter, "-I", "-c", program, *arguments), timeout_s=60))


def fetch(sandbox: Sandbox, *urls: str) -> list[str]:
    outcome = python(sandbox, FETCH, *urls)
    assert outcome.ok, outcome.text()
    return outcome.stdout.decode().splitlines()


def denials(owner: str) -> list[tuple[str, str]]:
    rows = Event.objects.filter(topic=owner.replace(":", "."), kind="agent.egress_denied").order_by("seq")
    return [(row.data["egress"]["host"], row.data["egress"]["reason"]) for row in rows]


@pytest.mark.parametrize("tier", GUARDED)
def test_without_a_grant_nothing_leaves(tier: Tier, harbour: Berths, proxy: ProxyProcess, port: int) -> None:
    sandbox, owner = harbour.open(tier)
    assert [line.split()[0] for line in python(sandbox, AROUND, str(port)).stdout.decode().splitlines()] == [
        "refused", "refused", "no",
    ]  # fmt: skip
    assert fetch(sandbox, f"http://ok.example:{port}/")[0].startswith("nothing:")
    assert not Lease.objects.filter(owner=owner).exists()


@pytest.mark.parametrize("tier", GUARDED)
def test_with_a_grant_exactly_that_host_is_reached_and_denials_are_on_the_record(
    tier: Tier, harbour: Berths, proxy: ProxyProcess, port: int
) -> None:
    sandbox, owner = harbour.open(tier, allow=[f"ok.example:{port}", f"rebind.example:{port}", "metadata.example"])
    said = fetch(
        sandbox,
        *(f"http://{name}:{port}/" for name in ("ok.example", "later.example", "rebind.example", "192.0.2.9")),
        *(f"http://later.example:{port}/",) * 3,
        "http://metadata.example/latest/meta-data/",
    )
    assert said[0] == "hello from outside"
    assert [line.rpartition(" ")[2] for line in said[1:]] == [
        "[not_allowed]", "[address.private]", "[not_allowed]", *("[not_allowed]",) * 3, "[address.link_local]",
    ]  # fmt: skip
    assert denials(owner) == [
        ("later.example", "not_allowed"), ("rebind.example", "address.private"), ("192.0.2.9", "not_allowed"),
        ("metadata.example", "address.link_local"),
    ]  # fmt: skip
    # The proxy is the only way: past it nothing is reached, with a grant as without.
    assert b"REACHED" not in python(sandbox, AROUND, str(port)).stdout


@pytest.mark.parametrize("tier", GUARDED)
def test_an_operators_grant_works_at_once_in_a_running_berth_and_ends_when_it_is_withdrawn(
    tier: Tier, harbour: Berths, proxy: ProxyProcess, port: int
) -> None:
    project = uuid.uuid4()
    sandbox, _ = harbour.open(tier, project_id=project, ask=True)
    url = f"http://later.example:{port}/"
    assert fetch(sandbox, url)[0].endswith("[not_allowed]")
    now = timezone.now()
    made = grants.grant(
        destination=f"later.example:{port}", project_id=project, granted_by="user:ada", reason="tests", now=now
    )
    time.sleep(daemon.FRESH_S)
    assert fetch(sandbox, url) == ["hello from outside"]
    grants.withdraw(made.pk, actor="user:ada", reason="done", now=timezone.now())
    time.sleep(daemon.POLL_S * 3)
    assert fetch(sandbox, url)[0].endswith("[not_allowed]")


@pytest.mark.parametrize("tier", GUARDED)
def test_a_killed_proxy_comes_back_to_the_same_berths_even_within_a_command(
    tier: Tier, harbour: Berths, proxy: ProxyProcess, port: int
) -> None:
    sandbox, _ = harbour.open(tier, allow=[f"ok.example:{port}"])
    url = f"http://ok.example:{port}/"
    assert fetch(sandbox, url) == ["hello from outside"]
    proxy.kill()
    said: list[str] = []
    command = threading.Thread(target=lambda: said.extend(fetch(sandbox, url)))
    command.start()
    time.sleep(1)
    assert not said, "there is no proxy, so nothing can have been said"
    proxy.start()
    command.join(timeout=60)
    assert said == ["hello from outside"]
    assert fetch(sandbox, url) == ["hello from outside"]


@pytest.mark.parametrize("tier", GUARDED)
def test_commands_side_by_side_do_not_lose_their_proxy_when_one_of_them_ends(
    tier: Tier, harbour: Berths, proxy: ProxyProcess, port: int
) -> None:
    sandbox, _ = harbour.open(tier, allow=[f"ok.example:{port}"])
    url = f"http://ok.example:{port}/"
    slow = f"import time; time.sleep(3)\n{FETCH}"
    outcomes: list[Outcome] = []
    first = threading.Thread(target=lambda: outcomes.append(python(sandbox, slow, url)))
    first.start()
    assert fetch(sandbox, url) == ["hello from outside"]
    first.join(timeout=60)
    assert outcomes[0].stdout == b"hello from outside\n"


@pytest.mark.parametrize("tier", GUARDED)
def test_a_command_behaves_with_the_bridge_as_without(tier: Tier, harbour: Berths, proxy: ProxyProcess) -> None:
    sandbox, _ = harbour.open(tier, ask=True)
    outcome = sandbox.run(Command(argv=("sh", "-c", "cat; echo err >&2; wait; exit 7"), stdin=b"in"))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, b"in", b"err\n")
    assert sandbox.run(Command(argv=("no-such-program",))).exit_code == 127
    # The carrier is not the program's child: waiting for any child says that there is none.
    waits = "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')"
    assert python(sandbox, waits).stdout == b"none\n"


@pytest.mark.parametrize(
    "tier", [pytest.param(Tier.LANDLOCK, marks=pytest.mark.needs_landlock), pytest.param(Tier.BARE)]
)
def test_a_tier_that_cannot_guard_egress_refuses_it_and_says_why(tier: Tier, harbour: Berths) -> None:
    with pytest.raises(EgressUnavailable, match=f"{tier.value} tier cannot guard egress: its|it has"):
        harbour.open(tier, allow=["ok.example"])
    sandbox, _ = harbour.open(tier)
    assert sandbox.run(Command(argv=("true",))).ok


def test_the_socket_of_a_berth_goes_with_its_lease(harbour: Berths, proxy: ProxyProcess, data_directory: Path) -> None:
    now = timezone.now()
    owner = f"agent:{uuid.uuid4()}"
    key = f"{owner.removeprefix('agent:')}-1"
    directory = berths.prepare(
        host=harbour.host, owner=owner, generation=1, key=key, network={"ask": True}, template="python",
        project_id=None, now=now, expires_at=now + timedelta(minutes=5),
    )  # fmt: skip
    assert directory is not None
    eventually((directory / "proxy.sock").exists)
    stranger = berths.root() / "not-ours"
    stranger.mkdir()
    unknown = berths.make_directory(f"{uuid.uuid4()}-1")
    leases.release(owner=owner, actor="system", reason="test", now=now)
    eventually(lambda: not directory.exists())
    assert stranger.exists(), "what does not carry our name stays"
    assert unknown.exists(), "what the ledger never heard of stays"


def test_a_second_daemon_of_the_same_host_waits_for_the_first(proxy: ProxyProcess, host: Host) -> None:
    with daemon.only_one("node-a") as only:
        assert not only
    with daemon.only_one("node-b") as only:
        assert only, "another host on the same machine has its own"
    proxy.kill()
    with daemon.only_one("node-a") as only:
        assert only


def test_the_package_mirror_is_set_and_allowed_where_the_template_asks(settings: object, host: Host) -> None:
    settings.PACKAGE_MIRROR_URL = "https://mirror.example:8443/simple/"  # type: ignore[attr-defined]
    settings.NPM_REGISTRY_URL = "http://npm.example/"  # type: ignore[attr-defined]
    assert berths.environment({"mirror": True}) == {
        "PIP_INDEX_URL": "https://mirror.example:8443/simple/",
        "UV_DEFAULT_INDEX": "https://mirror.example:8443/simple/",
        "npm_config_registry": "http://npm.example/",
    }
    assert berths.environment({"mirror": False}) == {}
    now = timezone.now()
    for name, network in (("mirror", {"mirror": True}), ("none", {"ask": True})):
        owner = f"agent:{uuid.uuid4()}"
        berths.prepare(
            host=host, owner=owner, generation=1, key=f"{owner[6:]}-1", network=network, template=name,
            project_id=None, now=now, expires_at=now + timedelta(minutes=5),
        )  # fmt: skip
    allowed = {tuple(map(str, berth.rules)) for berth in berths.serving("node-a")}
    assert allowed == {("mirror.example:8443", "npm.example:80"), ()}


@pytest.mark.parametrize("tier", GUARDED)
def test_no_signal_is_ignored_behind_the_bridge(tier: Tier, harbour: Berths, proxy: ProxyProcess) -> None:
    sandbox, _ = harbour.open(tier, ask=True)
    outcome = sandbox.run(Command(argv=("grep", "SigIgn", "/proc/self/status")))
    assert outcome.ok, outcome
    # 32 and 33 are the C library's own: its posix_spawn may ignore them, and nobody else can set them.
    assert int(outcome.stdout.split()[1], 16) & ~(0b11 << 31) == 0


@pytest.mark.parametrize("tier", GUARDED)
def test_megabytes_go_both_ways_at_once_unchanged(tier: Tier, harbour: Berths, proxy: ProxyProcess) -> None:
    echo = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_echo, args=(echo,), daemon=True).start()
    destination = f"ok.example:{echo.getsockname()[1]}"
    sandbox, _ = harbour.open(tier, allow=[destination])
    outcome = python(sandbox, BOTH_WAYS, destination)
    echo.close()
    assert outcome.stdout == b"same\n", outcome.text()


BOTH_WAYS = """
import hashlib, os, socket, sys, threading, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
wire = socket.create_connection((proxy.hostname, proxy.port))
wire.sendall(f"CONNECT {sys.argv[1]} HTTP/1.1\\r\\n\\r\\n".encode())
assert wire.recv(12) == b"HTTP/1.1 200"
while b"\\r\\n\\r\\n" not in wire.recv(1000): pass
content = os.urandom(1 << 20) * 8
def send():
    wire.sendall(content)
    wire.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
back = hashlib.sha256()
while chunk := wire.recv(1 << 16):
    back.update(chunk)
print("same" if back.digest() == hashlib.sha256(content).digest() else "changed")
"""


def _echo(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        while chunk := connection.recv(1 << 16):
            connection.sendall(chunk)


def test_clearing_twice_and_at_once_is_fine(data_directory: Path) -> None:
    key = f"{uuid.uuid4()}-1"
    directory = berths.make_directory(key)
    (directory / "proxy.sock.leftover").touch()
    assert at_once([lambda: berths.clear(key)] * 8) == [None] * 8
    berths.clear(key)
    assert not directory.exists()


def test_a_directory_that_resists_keeps_nobody_else_from_being_served(host: Host) -> None:
    now = timezone.now()
    keys = [f"{uuid.uuid4()}-1" for _ in range(2)]
    for key in keys:
        berths.prepare(
            host=host, owner=f"agent:{key[:36]}", generation=1, key=key, network={"ask": True}, template="python",
            project_id=None, now=now, expires_at=now + timedelta(minutes=5),
        )  # fmt: skip
    (berths.root() / keys[0] / "of a stranger").touch()
    leases.release(owner=f"agent:{keys[0][:36]}", actor="system", reason="test", now=now)
    assert [berth.key for berth in daemon._ask("node-a")] == keys[1:]
    assert (berths.root() / keys[0] / "of a stranger").exists()


def test_what_is_made_for_berths_opens_the_place_of_our_sockets_to_nobody(data_directory: Path) -> None:
    for make in (lambda: passwd.file_for(uid=20001, gid=20001), lambda: berths.make_directory(f"{uuid.uuid4()}-1")):
        shutil.rmtree(data_directory / "run", ignore_errors=True)
        make()
        assert (data_directory / "run").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("tier", GUARDED)
def test_a_service_of_ours_has_a_door_for_clients_that_know_of_no_proxy(
    tier: Tier, harbour: Berths, proxy: ProxyProcess
) -> None:
    def at_the_door(sandbox: Sandbox) -> list[str]:
        interpreter = "python3" if sandbox.tier is Tier.CONTAINER else launch.interpreter()
        outcome = sandbox.run(Command(
            argv=(interpreter, "-I", "-c", AT_THE_DOOR, "http://service.moorage/"), timeout_s=60,
            environment={"MOORAGE_GATEWAY": "http://service.moorage", "SERVICE": "http://service.moorage"},
        ))  # fmt: skip
        assert outcome.ok, outcome.text()
        return outcome.stdout.decode().splitlines()

    allowed, _ = harbour.open(tier, allow=["service.moorage"])
    assert at_the_door(allowed) == ["200 hello from outside"] * 3

    refused, owner = harbour.open(tier, ask=True)
    said = at_the_door(refused)
    assert said[0] == "no tunnel: Tunnel connection failed: 403 Forbidden"
    assert all(line.startswith("403 Moorage egress: no connection") for line in said[1:])
    assert set(denials(owner)) == {("service.moorage", "not_allowed")}
