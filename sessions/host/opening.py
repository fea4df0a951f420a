"""How a terminal comes to be: a shell in an agent's sandbox, a view of its work, or descriptors that came by exec."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from resources import transcripts
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Keeping, Reference, SandboxGone
from sessions.host.ledger import Wanted
from sessions.host.program import Counter, Program, keeper_path
from sessions.host.shell import ENVIRONMENT, SHELL
from sessions.models import Terminal


def handed(packed: dict[str, Any]) -> Program:
    """A program whose descriptors came with us through exec."""
    numbers = [packed["master"], packed["counter"], packed["connection"]]
    for number in numbers:
        if number is not None:
            os.set_inheritable(number, False)
    connection = None if numbers[2] is None else socket.socket(fileno=numbers[2])
    return Program(packed["pid"], packed["master"], Counter(packed["counter"]), connection)


def spawn(wanted: Wanted, run: Path) -> Program:
    """What is to run in a terminal. Slow: for a thread."""
    if wanted.sandbox is None:
        raise SandboxGone("the agent has no sandbox")
    counter = Counter()
    try:
        if wanted.kind == Terminal.Kind.WATCH:  # not kept for anybody: opened anew, it shows all of it again
            pid, master = transcripts.follow(wanted.sandbox, columns=wanted.columns, rows=wanted.rows)
        else:
            pid, master = _shell(wanted, wanted.sandbox, run, counter)
    except BaseException:
        counter.close()
        raise
    return Program(pid, master, counter)


def _shell(wanted: Wanted, reference: Reference, run: Path, counter: Counter) -> tuple[int, int]:
    """A shell in the agent's sandbox, kept for the next session host."""
    sandbox = selection.adopt(reference)
    path = keeper_path(run, wanted.terminal_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    command, keeping = Command(argv=SHELL, environment=ENVIRONMENT), Keeping(path, counter.descriptor)
    return sandbox.spawn_pty(command, columns=wanted.columns, rows=wanted.rows, keeping=keeping)
