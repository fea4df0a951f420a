"""The session host becomes another program under running terminals, and nobody loses a byte."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings as django_settings

from agents.models import Agent
from sessions import lifecycle
from sessions.faults import SessionHostAway, UpgradeRefused
from sessions.host import client, handover
from sessions.host.recorder import path_of
from sessions.host.wire import LIVE_ONLY, Kind
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)
LINES = 90_000  # fewer bytes than a ring keeps
FLOOD = f"import time\nfor n in range(1, {LINES + 1}):\n print(n)\n if n % 15 == 0: time.sleep(0.001)"


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, columns=91, rows=33, recording="output")


def collect(daemon: DaemonProcess, terminal: Terminal, seen: bytearray, *, until: bytes) -> bool:
    """Read on from where ``seen`` ends; False when the daemon hung up before ``until`` came."""
    with Viewer(daemon.socket) as viewer:
        viewer.attach(terminal, offset=len(seen))
        try:
            while until not in seen[-200_000:]:
                offset, data = viewer.hear_kind(Kind.DATA)
                assert offset == len(seen)
                seen += data
        except (EOFError, ConnectionError):
            return False
    return True


def test_flood_goes_on_through_an_upgrade_without_a_byte_lost_or_doubled(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    pid, epoch = daemon.pid, eventually(lambda: SessionHost.objects.get().epoch)
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(f"stty -echo; python3 -uc '{FLOOD}'; echo e''nd\n".encode())
        viewer.hear_kind(Kind.DATA)
    seen, cuts = bytearray(), 0
    upgrade = subprocess.Popen(
        [sys.executable, "manage.py", "sessionhost", "--upgrade"],
        cwd=django_settings.BASE_DIR, env={**os.environ, "MOORAGE_DATA": str(daemon.data)},
    )  # fmt: skip
    while not collect(daemon, terminal, seen, until=b"end\r\n"):
        cuts += 1
    assert upgrade.wait(60) == 0
    numbers = [int(word) for word in seen.split() if word.isdigit()]
    assert numbers[-LINES:] == list(range(1, LINES + 1))
    assert daemon.pid == pid
    assert SessionHost.objects.get().epoch == epoch
    assert Terminal.objects.get(pk=terminal.pk).state in {"live", "detached"}
    assert (daemon.data / "run" / "sessionhost.lock").read_text().split()[1] == "2"


def test_screen_offsets_recording_exit_code_and_second_upgrade(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"printf '\\033[?2004l\\033[?1049h\\033[31mred\\033[2;5H\\342\\202'; sleep 1000\n")
        viewer.read_until(b"\xe2\x82")
        head = viewer.attach(terminal, offset=LIVE_ONLY, channel=2)[1]
        before = viewer.hear_kind(Kind.SNAPSHOT)
    children = {child.pid for child in psutil.Process(daemon.pid).children()}
    for _ in range(2):
        handover.request(daemon.socket)
    assert {child.pid for child in psutil.Process(daemon.pid).children()} == children
    with Viewer(daemon.socket) as viewer:
        assert viewer.attach(terminal, offset=LIVE_ONLY)[1] == head
        assert viewer.hear_kind(Kind.SNAPSHOT) == before
        viewer.take_control()
        viewer.type(b"\x03")
        viewer.type(b"printf '\\254'; exit 6\n")
        _, code, _ = viewer.hear_kind(Kind.EXIT)
        assert code == 6
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.exit_code == 6
    eventually(lambda: path_of(daemon.data, terminal.pk).read_text().rstrip().endswith('"x", "6"]'))


def test_terminals_that_were_kept_survive_an_upgrade_too(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
    epoch = SessionHost.objects.get().epoch
    daemon.signal(9)
    daemon.start()
    eventually(lambda: SessionHost.objects.exclude(epoch=epoch).exists())
    handover.request(daemon.socket)
    with Viewer(daemon.socket) as viewer:
        viewer.attach(terminal, offset=LIVE_ONLY)
        viewer.take_control()
        viewer.type(b"exit 5\n")
        assert viewer.hear_kind(Kind.EXIT)[1] == 5


def test_upgrade_without_a_session_host_or_from_another_format_is_refused(daemon: DaemonProcess) -> None:
    lock = client.lock_path(daemon.socket)
    pid, starts, _ = lock.read_text().split()
    lock.write_text(f"{pid} {starts} 99\n")
    with pytest.raises(UpgradeRefused, match="hand over differently"):
        handover.request(daemon.socket)
    daemon.stop()
    with pytest.raises(SessionHostAway):
        handover.request(daemon.socket)


def test_whoever_waits_for_the_next_start_never_reads_half_a_signature(tmp_path: Path) -> None:
    path = tmp_path / "sessionhost.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    handover.sign(lock, starts=1000)
    over = threading.Event()

    def sign() -> None:
        starts = 1000
        while not over.is_set():
            starts = starts + 1 if starts < 9000 else 1000
            handover.sign(lock, starts=starts)

    signing = threading.Thread(target=sign)
    signing.start()
    try:
        read = [handover._signature(path) for _ in range(2000)]
    finally:
        over.set()
        signing.join()
        os.close(lock)
    assert {(pid, spoken) for pid, _, spoken in read} == {(os.getpid(), handover.FORMAT)}
