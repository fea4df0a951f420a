"""Streams cut anywhere: by frames, by the end of the program, by the death of the session host; and guesses at ids."""

from __future__ import annotations

import signal
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.access.models import Scope, issue
from sessions.host import wire
from sessions.host.wire import TOLD, Kind, Problem
from sessions.models import Terminal
from tests.events.web_process import WebProcess
from tests.sessions.browser import Browser
from tests.sessions.conftest import DaemonProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_redis]
PIECE = "ä€😀\x1b[31mrot\x1b[0m"
COUNT = 6000


def whole(piece: bytes) -> bool:
    """Whether it ends neither amid a character nor amid a sequence."""
    try:
        return "\x1b" not in piece.decode().rpartition("m")[2]
    except UnicodeDecodeError:
        return False


def test_characters_and_sequences_that_frames_cut_are_whole_again_in_order(
    web: WebProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        browser.take_control()
        program = f"print({PIECE!a} * {COUNT}, end='over', flush=True)"
        browser.type(f"python3 -c {chr(34)}{program}{chr(34)} | cat; sleep 60\n".encode())
        pieces: list[bytes] = []
        while not b"".join(pieces[-2:]).endswith(b"over"):
            _, data = browser.hear_kind(Kind.DATA)
            pieces.append(bytes(data))
    assert (PIECE * COUNT + "over").encode() in b"".join(pieces)
    assert not all(whole(piece) for piece in pieces), "else nothing was cut"


def test_a_terminal_that_ends_amid_a_character_and_a_sequence_has_all_its_bytes_said_before_its_end(
    web: WebProcess, token: str, terminal: Terminal, user: Any
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        browser.take_control()
        browser.type(b"exec printf 'half \\033[3\\342\\202'\n")
        seen = browser.read_until(b"half \x1b[3\xe2\x82")
        assert seen.endswith(b"half \x1b[3\xe2\x82")
        end, code, _ = browser.hear_kind(Kind.EXIT)
    assert (end, code) == (browser.offset, 0)


def test_a_session_host_that_dies_amid_a_flood_leaves_only_whole_frames_and_offsets_that_join(
    web: WebProcess, daemon: DaemonProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        browser.take_control()
        browser.type(b"seq 10000000\n")
        browser.read_until(b"\n5000\r\n")
        expected = browser.offset
        daemon.signal(signal.SIGKILL)
        while (frame := browser.hear()).kind != Kind.ERROR:
            if frame.kind == Kind.DATA:
                offset, data = wire.unpack(TOLD, frame)
                assert offset == expected
                expected = offset + len(data)
        assert wire.unpack(TOLD, frame)[0] == Problem.AWAY
        daemon.start()
        told = browser.attach(terminal, offset=browser.offset)
        assert told[1] >= expected


@pytest.mark.parametrize("path", ["", "snapshot/", "recording/", "share/", "close/", "hand-over/", "share/ada/"])
def test_whoever_guesses_is_told_the_same_of_what_is_not_theirs_and_what_is_not_there(
    terminal: Terminal, stranger: Any, path: str
) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user=stranger, scope=Scope.WRITE)}")
    ask = {"close/": client.post, "hand-over/": client.post, "share/ada/": client.delete}.get(path, client.get)

    def told(key: uuid.UUID) -> tuple[int, dict[str, Any]]:
        answer = ask(f"/api/v1/sessions/{key}/{path}", {"user": "eve"} if path == "hand-over/" else None, format="json")
        body = {name: value for name, value in answer.json().items() if name not in ("request_id", "instance")}
        return answer.status_code, {name: str(value).replace(str(key), "ID") for name, value in body.items()}

    theirs, nowhere = told(terminal.pk), told(uuid.uuid4())
    assert theirs == nowhere
    assert theirs[0] == 404
