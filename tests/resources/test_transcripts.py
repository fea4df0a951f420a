"""What is written down of the commands of a berth: without secrets, within bounds, and never at their cost."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources import transcripts
from resources.operator_secrets import Mask, Masking
from resources.sandboxes import selection
from resources.sandboxes.entrusted import Entrusted
from resources.sandboxes.protocol import Command, Profile, Sandbox, Tier
from resources.transcripts import Transcribed

VALUE = "b4ttery-staple"


@pytest.fixture
def sandbox(data_directory: Path) -> Iterator[Sandbox]:
    workspace = data_directory / "workspaces" / "berth-1"
    workspace.mkdir(parents=True)
    profile = Profile(owner="agent:test", generation=1, workspace=workspace)
    opened = selection.open_sandbox(profile, minimum=Tier.BARE, allow_bare=True, prefer=Tier.BARE)
    yield opened
    opened.close()


def directory(sandbox: Sandbox) -> Path:
    return transcripts.directory_of(Path(sandbox.reference()["profile"]["workspace"]))


def written(sandbox: Sandbox) -> bytes:
    """All that is kept, in order."""
    return b"".join(path.read_bytes() for path in sorted(directory(sandbox).iterdir(), key=lambda path: int(path.name)))


def shell(script: str, **more: Any) -> Command:
    return Command(argv=("sh", "-c", script), timeout_s=30, **more)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_values_are_taken_out_wherever_the_stream_is_cut(size: int) -> None:
    mask = Mask({"A": "abcd", "B": "abcdefgh", "C": "fghij\nfirst line\nsecond line", "D": "ß-umlaut"})
    text = "x abcd y abcdefgh z abcdef; fghij\nfirst line\nsecond line! ß-umlaut ß-umlau abcdabcdabc".encode()
    flow = Masking(mask)
    pieces = [flow.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert b"".join([*pieces, flow.end()]).decode() == "x •••• y •••• z ••••ef; ••••! •••• ß-umlau ••••••••abc"


def test_a_command_stands_there_with_its_stage_its_output_and_how_it_ended(sandbox: Sandbox) -> None:
    outcome = Transcribed(sandbox, label="test").run(shell("echo 'to one'; echo to two >&2; exit 3"))
    assert outcome.exit_code == 3
    assert outcome.stdout == b"to one\n"
    text = written(sandbox).decode()
    head, _, rest = text.partition("\n")
    assert "[test] $ sh -c 'echo '\"'\"'to one'\"'\"'; echo to two >&2; exit 3'" in head
    assert "to one\n" in rest
    assert "to two\n" in rest
    assert "exit 3 after " in rest.splitlines()[-2]


def test_what_is_given_as_a_secret_is_in_no_byte_of_it(sandbox: Sandbox) -> None:
    entrusted = Entrusted(Transcribed(sandbox, label="code"), secrets={"TOKEN": VALUE})
    script = f"printf '%s' {VALUE[:5]}; sleep 0.2; echo {VALUE[5:]}; echo $TOKEN >&2; yes $TOKEN | head -n 20000"
    assert entrusted.run(shell(script)).ok
    text = written(sandbox).decode("utf-8", "replace")  # cut amid a character
    assert VALUE not in text
    assert text.count(Mask.SHOWN) > 3000
    entrusted.run(Command(argv=("echo", VALUE)))
    assert f"$ echo '{Mask.SHOWN}'\x1b[0m\n".encode() in written(sandbox)


def test_hostile_bytes_stay_bytes_and_the_next_command_begins_on_a_clean_line(sandbox: Sandbox) -> None:
    transcribed = Transcribed(sandbox, label="test")
    transcribed.run(shell(r"printf '\033]0;title\377\000\033[?1049h\033[31mred'"))
    transcribed.run(Command(argv=("echo", "\x1b[2J", "a\nb", "x" * 500)))
    text = written(sandbox)
    assert b"\x1b]0;title\xff\x00\x1b[?1049h\x1b[31mred\n\x18\x1b[?47l\x1b[!p\x1b[0mexit 0" in text
    assert "$ echo … … …\x1b[0m\n".encode() in text


def test_a_flood_is_kept_from_both_ends_and_all_of_it_within_its_bound(sandbox: Sandbox) -> None:
    transcribed = Transcribed(sandbox, label="test")
    for number in range(16):
        assert transcribed.run(shell(f"echo begin-{number}-; head -c 300000 /dev/zero | tr '\\0' x; echo the-end")).ok
    text = written(sandbox)
    assert len(text) < 1 << 20
    assert b"begin-0-" not in text, "the oldest gives way"
    assert b"begin-15-" in text
    assert "bytes are not shown …".encode() in text
    assert text.endswith(b"\n\n")
    assert b"xthe-end\n" in text
    assert [path.name for path in sorted(directory(sandbox).iterdir())] == ["1", "2"]


def test_it_is_ours_alone_and_goes_with_the_workspace(sandbox: Sandbox) -> None:
    Transcribed(sandbox, label="test").run(Command(argv=("true",)))
    place = directory(sandbox)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "0").stat().st_mode) == 0o600
    transcripts.remove(Path(sandbox.reference()["profile"]["workspace"]))
    transcripts.remove(Path(sandbox.reference()["profile"]["workspace"]))
    assert not place.exists()
    with pytest.raises(ValueError, match="no name"):
        transcripts.directory_of(Path("/x/.."))


def test_where_nothing_can_be_written_the_command_runs_all_the_same(
    sandbox: Sandbox, data_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data_directory / "transcripts").write_text("in the way")
    assert Transcribed(sandbox, label="test").run(shell("echo fine")).stdout == b"fine\n"
    assert "no transcript is kept" in caplog.text


def shown_until(master: int, wanted: bytes) -> bytes:
    """What a follower prints, up to this."""
    seen, until = b"", time.monotonic() + 30
    while wanted not in seen:
        assert select.select([master], [], [], max(0.0, until - time.monotonic()))[0], seen[-2000:]
        seen += os.read(master, 65_536)
    return seen


def test_who_follows_goes_from_segment_to_segment_and_is_told_what_is_not_kept(sandbox: Sandbox) -> None:
    transcribed = Transcribed(sandbox, label="test")
    long = "head -c 70000 /dev/zero | tr '\\0' x"
    for number in range(16):
        transcribed.run(shell(f"echo number-{number}-; {long}"))
    pid, master = transcripts.follow(sandbox.reference(), columns=80, rows=24)
    try:
        seen = shown_until(master, b"number-15-\r\n")
        assert "… what was before this is not kept …".encode() in seen
        assert b"number-0-" not in seen
        for number in range(16, 26):  # one more segment at least
            transcribed.run(shell(f"echo number-{number}-; {long}"))
            seen = shown_until(master, f"number-{number}-\r\n".encode())
            assert b"not kept" not in seen
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        os.close(master)
