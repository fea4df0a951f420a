"""Where the token comes from, where it is kept, and where it never goes."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run
from tests.fakes.moorage_server import TOKEN, MoorageServer

NO_ENVIRONMENT = {"MOORAGE_URL": None, "MOORAGE_TOKEN": None}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return tmp_path / "config" / "moorage" / "config.json"


def test_login_stores_url_and_token_for_the_owner_only(server: MoorageServer, moorage: Run, stored: Path) -> None:
    done = moorage("login", stdin=f"{server.url}/\n{TOKEN}\n", **NO_ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert json.loads(stored.read_text()) == {"url": server.url, "token": TOKEN}
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
    assert [path.name for path in stored.parent.iterdir()] == ["config.json"]
    assert TOKEN not in done.stdout + done.stderr
    assert moorage("project", "list", **NO_ENVIRONMENT).returncode == 0


def test_a_token_that_does_not_work_is_not_stored(server: MoorageServer, moorage: Run, stored: Path) -> None:
    done = moorage("login", "--url", server.url, stdin="moor_wrong\n", **NO_ENVIRONMENT)
    assert done.returncode == 3
    assert not stored.exists()


def test_the_token_is_not_echoed_on_a_terminal(
    server: MoorageServer, command: list[str], environment: dict[str, str], stored: Path
) -> None:
    above, below = pty.openpty()
    process = subprocess.Popen(
        [*command, "login", "--url", server.url],
        cwd=ROOT,
        env=environment,
        stdin=below,
        stdout=below,
        stderr=below,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # the PTY becomes its terminal
    )
    os.close(below)
    shown = b""
    while b"Token" not in shown:
        shown += os.read(above, 1000)
    os.write(above, f"{TOKEN}\n".encode())
    while True:
        try:
            shown += os.read(above, 1000)
        except OSError:  # Linux says so when the last writer of a PTY is gone
            break
    os.close(above)
    assert process.wait(timeout=60) == 0, shown
    assert TOKEN.encode() not in shown
    assert json.loads(stored.read_text())["token"] == TOKEN


def test_the_environment_wins_over_what_is_stored(server: MoorageServer, moorage: Run, stored: Path) -> None:
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps({"url": "http://127.0.0.1:1", "token": "moor_old"}))
    stored.chmod(0o600)
    assert moorage("project", "list").returncode == 0


def test_a_stored_token_is_not_sent_to_another_server(server: MoorageServer, moorage: Run, stored: Path) -> None:
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps({"url": "https://moorage.example", "token": TOKEN}))
    stored.chmod(0o600)
    done = moorage("project", "list", MOORAGE_TOKEN=None)
    assert done.returncode == 2
    assert server.requests == []


def test_a_file_that_others_can_read_is_not_used(server: MoorageServer, moorage: Run, stored: Path) -> None:
    stored.parent.mkdir(parents=True)
    stored.write_text(json.dumps({"url": server.url, "token": TOKEN}))
    stored.chmod(0o644)
    done = moorage("project", "list", **NO_ENVIRONMENT)
    assert done.returncode == 2
    assert f"chmod 600 {stored}" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 1, "token": 2}', "\x00", "[" * 100_000])
def test_a_broken_file_is_named_and_not_a_traceback(moorage: Run, stored: Path, content: str) -> None:
    stored.parent.mkdir(parents=True)
    stored.write_text(content)
    stored.chmod(0o600)
    done = moorage("project", "list", **NO_ENVIRONMENT)
    assert done.returncode == 2
    assert str(stored) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://u:p@h",
        "http://h/?a=b",
        "http://[::1",
        "http://h:99999",
        "http://a b",
    ],
)
def test_a_url_that_is_none_is_refused(moorage: Run, url: str) -> None:
    done = moorage("project", "list", MOORAGE_URL=url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("token", ["two words", "ünïcode", "line\nbreak"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(moorage: Run, token: str) -> None:
    done = moorage("project", "list", MOORAGE_TOKEN=token)
    assert done.returncode == 2
    assert token not in done.stderr


def test_without_any_access_the_ways_on_are_named(moorage: Run) -> None:
    done = moorage("project", "list", **NO_ENVIRONMENT)
    assert done.returncode == 2
    assert "moorage login" in done.stderr
    assert "MOORAGE_TOKEN" in done.stderr


def test_a_proxy_for_the_world_is_not_asked_for_this_machine(moorage: Run) -> None:
    proxies = {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    assert moorage("project", "list", **proxies).returncode == 0
