"""The real stack on data of its own: Redis, both workers and beat under the supervisor, and hands in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from config.parts import ROOT
from config.supervisor import Supervisor, parts
from tests.flows.inline import PLAIN_TEMPLATE

PARTS = frozenset({"gateway", "web", "flower", "sessionhost"})  # left out: nothing here asks them
_UP_S = 300  # ends a start that hangs; it decides nothing
IN_A_HURRY = {"MOORAGE_CLAIM_TTL_S": "2", "MOORAGE_REDISPATCH_S": "1", "MOORAGE_SWEEP_S": "0.5"}


class Stack:
    """A running stack."""

    def __init__(self, *, data: Path, supervisor: Supervisor, hands: subprocess.Popen[str]) -> None:
        self.data, self.remotes, self.supervisor = data, data / "remotes", supervisor
        self._hands = hands

    def ask(self, do: str, **fields: Any) -> Any:
        """Have the hands do it."""
        assert self._hands.stdin is not None
        assert self._hands.stdout is not None
        self._hands.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._hands.stdin.flush()
        line = self._hands.stdout.readline()
        assert line, f"the hands are gone; the stack's log ends so:\n{self.log()}"
        return json.loads(line)

    def log(self) -> str:
        """The end of what the parts said."""
        return (self.data / "stack.log").read_text()[-6000:]


@contextmanager
def running_stack(templates: Mapping[str, str] | None = None, /, *, beats: int = 1, **settings: str) -> Iterator[Stack]:
    """Up at the beginning, gone at the end, with its data. The gateway is a part of it where models are configured.

    ``templates``, name to text, are there from the start: what is added later is active a few seconds after that.
    """
    # Not pytest's directory: the path of a unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="moor-", ignore_cleanup_errors=True) as directory:
        data = Path(directory)
        (data / "remotes").mkdir()
        (data / "templates").mkdir()
        for name, text in {"plain": PLAIN_TEMPLATE, **(templates or {})}.items():
            (data / "templates" / f"{name}.yaml").write_text(text)
        foreign = ("MOORAGE_", "CELERY_", "DJANGO_")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "MOORAGE_DATA": directory,
            "MOORAGE_REPOSITORY_ROOTS": str(data / "remotes"),
            "MOORAGE_LOG_LEVEL": "INFO",
            "MOORAGE_GATEWAY_PORT": str(_free_port()),
            **settings,
        }
        table = parts(environment, leave_out=_not_asked(settings))
        beat = next(part for part in table if part.name == "beat")
        more = tuple(replace(beat, name=f"beat-{number}") for number in range(2, beats + 1))
        with (data / "stack.log").open("w") as log:
            supervisor = Supervisor((*table, *more), environment, log=log)
            supervisor.start()
            try:
                supervisor.wait_ready(timeout_s=_UP_S)
                with _hands(environment, log) as hands:
                    yield Stack(data=data, supervisor=supervisor, hands=hands)
            finally:
                supervisor.stop()


@contextmanager
def _hands(environment: dict[str, str], log: TextIO) -> Iterator[subprocess.Popen[str]]:
    hands = subprocess.Popen(
        [sys.executable, "-m", "tests.flows.hands"],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    assert hands.stdin is not None
    assert hands.stdout is not None
    try:
        yield hands
    finally:
        hands.terminate()
        with suppress(BrokenPipeError):
            hands.stdin.close()
        hands.wait(60)
        hands.stdout.close()


def _not_asked(settings: dict[str, str]) -> frozenset[str]:
    """The parts that nobody needs: no model, no gateway; on the bare tier, no egress for berths without a network."""
    needed = {"gateway"} if "MOORAGE_MODELS" in settings else set()
    idle = {"egress"} if settings.get("MOORAGE_ISOLATION") == "bare" else set()
    return (PARTS - needed) | idle


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
