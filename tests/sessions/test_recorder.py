"""What is recorded of a terminal: in order, without secrets, within its size."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from sessions.host.masking import MASK, Masker, masked
from sessions.host.recorder import Recorder, path_of, prune

SECRETS = [
    "sk-abcdefghijklmnop1234",
    "ghp_abcdefghijklmnopqrstuvwxyz012345",
    "github_pat_11ABCDEFG0123456789",
    "AKIAABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    *(f"{maker}abcdefghijklmnop1234" for maker in ("glpat-", "hf_", "npm_", "pypi-", "AIza", "moor_", "github_pat_")),
    *(f"gh{kind}_abcdefghijklmnopqrstuvwxyz012345" for kind in "opsur"),
    *(f"xox{kind}-123456789012-abcdefghij" for kind in "abeprs"),
    "ASIAABCDEFGHIJKLMNOP",
]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def through(text: str, *, size: int) -> str:
    masker = Masker()
    return "".join(masker.feed(text[at : at + size]) for at in range(0, len(text), size)) + masker.flush()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_secret_is_masked_wherever_the_stream_is_cut(secret: str, size: int) -> None:
    shown = through(f"before {secret} after\r\n", size=size)
    assert shown == f"before {MASK} after\r\n"


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("export DB_PASSWORD=hunter2\r\n", f"export DB_PASSWORD={MASK}\r\n"),
        ("api_key: 'abc def'\r\n", f"api_key: '{MASK} def'\r\n"),
        ("Authorization: Bearer abcdefgh12345\r\n", f"Authorization: Bearer {MASK}\r\n"),
        ("git clone https://ada:hunter2@example.org/x\r\n", f"git clone https://ada:{MASK}@example.org/x\r\n"),
        ("token\r\nnext line\r\n", "token\r\nnext line\r\n"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\ndef\n-----END RSA PRIVATE KEY-----\nok\n", f"{MASK}\nok\n"),
    ],
)
def test_value_behind_a_name_that_means_a_secret_is_masked(text: str, shown: str, size: int) -> None:
    assert through(text, size=size) == shown


@pytest.mark.parametrize("name", ["PASSWORD", "\u017fecret", "api_\u212aey"])
def test_name_that_means_a_secret_is_known_in_any_case(name: str) -> None:
    assert masked(f"{name}=hunter2") == f"{name}={MASK}"


def test_line_without_an_end_costs_no_more_than_its_length() -> None:
    masker = Masker()
    started = time.process_time()
    for _ in range(200):
        masker.feed("a" * 4096)
    assert time.process_time() - started < 2  # 80 ms of processor time; with a search from each place 20 s


def test_secret_longer_than_what_is_held_does_not_leak_its_end() -> None:
    shown = through("sk-" + "a" * 20_000 + " end", size=1000)
    assert "aaa" not in shown
    assert shown.endswith(" end")


def test_text_without_secrets_passes_unchanged_and_soon() -> None:
    masker = Masker()
    assert masker.feed("\x1b[32mada@quay\x1b[0m:~$ ") == "\x1b[32mada@quay\x1b[0m:~$ "
    assert masked("nothing to hide") == "nothing to hide"


def test_recording_is_a_header_and_events_in_order(tmp_path: Path) -> None:
    path = tmp_path / "one.cast"
    recorder = Recorder(path, most_bytes=100_000, with_input=False)
    recorder.begin(columns=91, rows=33, title="work")
    recorder.printed("Grü".encode()[:-1])
    recorder.printed("Grüße \r\n".encode()[3:])
    recorder.typed(b"not recorded ")
    recorder.resized(80, 24)
    recorder.end(7)
    header, *events = lines(path)
    assert (header["version"], header["term"]["cols"], header["term"]["rows"], header["title"]) == (3, 91, 33, "work")
    assert "".join(text for _, code, text in events if code == "o") == "Grüße \r\n"
    assert [code for _, code, _ in events if code != "o"] == ["r", "x"]
    assert events[-1][2] == "7"
    assert all(since >= 0 for since, _, _ in events)
    assert os.stat(path).st_mode & 0o077 == 0


def test_recording_stops_at_its_size_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "one.cast"
    recorder = Recorder(path, most_bytes=5000, with_input=False)
    recorder.begin(columns=80, rows=24, title="")
    for _ in range(1000):
        recorder.printed(b"0123456789 " * 10 + b"\n")
    recorder.end(0)
    assert recorder.figures.truncated
    assert path.stat().st_size <= 5000
    assert lines(path)[-1][1] == "m"


def test_recording_goes_on_where_another_process_left_off(tmp_path: Path) -> None:
    path = tmp_path / "one.cast"
    first = Recorder(path, most_bytes=100_000, with_input=False)
    first.begin(columns=80, rows=24, title="")
    first.printed(b"a key: sk-abcdefgh")
    second = Recorder(path, most_bytes=100_000, with_input=False)
    second.unpack(first.pack())
    second.printed(b"ijklmnopqrst and more\r\n")
    second.end(0)
    text = "".join(event[2] for event in lines(path)[1:] if event[1] == "o")
    assert text == f"a key: {MASK} and more\r\n"


def test_old_recordings_are_removed_and_young_ones_kept(tmp_path: Path) -> None:
    old, young = (path_of(tmp_path, uuid.uuid4()) for _ in range(2))
    for path in (old, young):
        Recorder(path, most_bytes=1000, with_input=False).end(None)
    os.utime(old, (1, 1))
    assert prune(tmp_path, before=1000.0) == 1
    assert (old.exists(), young.exists()) == (False, True)
