"""How a terminal comes to be: a shell in an agent's sandbox, or descriptors that came through exec."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Keeping, SandboxGone
from sessions.host.ledger import Wanted
from sessions.host.program import Counter, Program, keeper_path
from sessions.host.shell import ENVIRONMENT, SHELL


def handed(packed: dict[str, Any]) -> Program:
    """A program whose descriptors came with us through exec."""
    numbers = [packed["master"], packed["counter"], packed["connection"]]
    for number in numbers:
        if number is not None:
            os.set_inheritable(number, False)
    connection = None if numbers[2] is None else socket.socket(fileno=numbers[2])
    return Program(packed["pid"], packed["master"], Counter(packed["counter"]), connection)


def spawn(wanted: Wanted, run: Path) -> Program:
    """A shell in the agent's sandbox, kept for the next session host. Slow: for a thread."""
    if wanted.sandbox is None:
        raise SandboxGone("the agent has no sandbox")
    sandbox = selection.adopt(wanted.sandbox)
    path = keeper_path(run, wanted.terminal_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    counter = Counter()
    try:
        command = Command(argv=SHELL, environment=ENVIRONMENT)
        keeping = Keeping(path, counter.descriptor)
        pid, master = sandbox.spawn_pty(command, columns=wanted.columns, rows=wanted.rows, keeping=keeping)
    except BaseException:
        counter.close()
        raise
    return Program(pid, master, counter)
