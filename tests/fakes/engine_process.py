"""A Docker engine of the tests' own, to be killed at will: the machine's is shared and left alone.

Not a fake: the same dockerd with data, socket and containerd of its own, without bridge and firewall rules.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from resources.sandboxes import policy, selection
from tests.fakes import tied

_START_S = 120.0


class EngineProcess:
    """One dockerd that can be started, killed and started again on the same data and socket."""

    def __init__(self, directory: Path) -> None:
        self.url = f"unix://{directory}/d.sock"
        self._directory = directory
        self._janitor: tied.Janitor | None = None  # from the first start on
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        at = self._directory
        self._janitor = self._janitor or tied.Janitor(at)
        (at / "pid").unlink(missing_ok=True)
        with (at / "log").open("ab") as log:
            if self._containerd is None:
                self._start_containerd(log)
            self._process = subprocess.Popen(
                [
                    "dockerd", "--data-root", f"{at}/data", "--exec-root", f"{at}/exec", "--pidfile", f"{at}/pid",
                    "--host", self.url, "--bridge=none", "--iptables=false", "--ip-masq=false",
                    "--shutdown-timeout", "5", "--containerd", f"{at}/c.sock",
                ],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < deadline, (at / "log").read_text()[-2000:]
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Without the client: a process for each look would cost more than the engine's start."""
        with socket.socket(socket.AF_UNIX) as asked, suppress(OSError):
            asked.settimeout(5)
            asked.connect(self.url.removeprefix("unix://"))
            asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in asked.recv(64)
        return False

    def _start_containerd(self, log: IO[bytes]) -> None:
        """Beside the engine, as distributions run it: a killed engine leaves it, and finds it again."""
        at = self._directory
        (at / "containerd.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._containerd = subprocess.Popen(
            [
                "containerd", "--config", f"{at}/containerd.toml", "--root", f"{at}/containerd",
                "--state", f"{at}/state", "--address", f"{at}/c.sock",
            ],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + _START_S
        while not (at / "c.sock").exists():
            assert time.monotonic() < deadline, (at / "log").read_text()[-2000:]
            time.sleep(0.05)

    def docker(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The command-line client, at this engine."""
        argv = ["docker", "--host", self.url, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=240)

    def load(self, image: str) -> None:
        """Copy an image from the machine's engine."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "--host", self.url, "load", "--quiet"],
                stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True, timeout=400,
            )  # fmt: skip

    def containers(self) -> list[str]:
        """Names of all that it has, running or not."""
        return self.docker("ps", "--all", "--format", "{{.Names}}").stdout.split()

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    def kill(self) -> None:
        """kill -9, in the middle of whatever it does. Its containers live on or die, as they do under any engine."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and all that runs in it. Stopping twice is fine."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """End it in order, and start it again."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(timeout=120)

    def clear(self) -> None:
        """Nothing of it is left on the machine."""
        if self._process is None:
            with suppress(AssertionError):
                self.start()
        if self._process is not None and (names := self.containers()):
            self.docker("rm", "--force", *names, check=False)
        self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(timeout=120)
        if self._janitor is not None:
            self._janitor.dismiss()


@pytest.fixture(scope="session")
def engine_process() -> Iterator[EngineProcess]:
    """The engine of this test session, with the sandbox image."""
    # Not pytest's directory: the path of a unix socket has at most 107 characters.
    process = EngineProcess(Path(tempfile.mkdtemp(prefix="moor-engine-")))
    try:
        process.start()
        process.load(policy.DEFAULT_IMAGE)
        yield process
    finally:
        process.clear()


@pytest.fixture
def own_engine(engine_process: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProcess]:
    """The same, running and empty at the beginning of a test, and what the test's own process talks to."""
    if engine_process._process is None:
        engine_process.start()
    if names := engine_process.containers():
        engine_process.docker("rm", "--force", *names)
    monkeypatch.setitem(os.environ, "DOCKER_HOST", engine_process.url)
    selection.availabilities(fresh=True)
    yield engine_process
    if engine_process._process is None:
        engine_process.start()
    monkeypatch.undo()
    selection.availabilities(fresh=True)
