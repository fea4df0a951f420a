"""The client as a real process against a real, small server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from tests.fakes.forked import Forked
from tests.fakes.moorage_server import TOKEN, MoorageServer

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server() -> Iterator[MoorageServer]:
    with MoorageServer().running() as running:
        yield running


@pytest.fixture
def environment(server: MoorageServer, tmp_path: Path) -> dict[str, str]:
    """No configuration but the server's URL and a good token."""
    names = ("PATH", "LANG", "PYTHONPATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    config = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    return {**kept, **config, "MOORAGE_URL": server.url, "MOORAGE_TOKEN": TOKEN}


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, "-m", "cli.main"]


@pytest.fixture
def moorage(environment: dict[str, str], command: list[str]) -> Run:
    """Run ``moorage ARGUMENTS`` to its end; keywords change the environment (None takes a name out)."""

    def run(*arguments: str, stdin: str = "", **changes: str | None) -> subprocess.CompletedProcess[str]:
        changed = {**environment, **changes}
        given = {name: value for name, value in changed.items() if value is not None}
        if any(name.startswith("PYTHON") for name in changes):  # for the interpreter: it has to start
            return subprocess.run(
                [*command, *arguments], cwd=ROOT, env=given, input=stdin, capture_output=True, encoding="utf-8",
                timeout=100, check=False,
            )  # fmt: skip
        return _forked(arguments, given, stdin)

    return run


def _forked(arguments: tuple[str, ...], environment: dict[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(stdin.encode())
        given.seek(0)
        ours = Forked("cli.main", *arguments, env=environment, input=given, output=output, errors=errors, of="client")
        try:
            code = ours.wait(100)
        finally:
            ours.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, code, output.read().decode(), errors.read().decode())
