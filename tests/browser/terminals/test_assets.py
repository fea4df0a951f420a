"""What the terminal's page is made of: its policy, the vendored emulator, the table of frames."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from sessions.host import wire
from sessions.models import Terminal
from tests.browser.conftest import ROOT
from tests.browser.terminals.page import address

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]
STATIC = ROOT / "config" / "console" / "static"


def test_page_allows_no_inline_style_but_by_its_nonce(client: Any, operator: Any, terminal: Terminal) -> None:
    client.force_login(operator)
    answers = [client.get(address(terminal)) for _ in range(2)]
    rules = [answer["Content-Security-Policy"] for answer in answers]
    nonces = [re.search(r"style-src 'self' 'nonce-([^']+)'", rule)[1] for rule in rules]
    assert nonces[0] != nonces[1]
    assert all("unsafe" not in rule for rule in rules)
    assert f'nonce="{nonces[0]}"' in answers[0].content.decode()
    other = client.get(reverse("admin:terminals_terminal_changelist"))["Content-Security-Policy"]
    assert "nonce" not in other


def test_vendored_emulator_is_what_its_checksums_say() -> None:
    vendored = STATIC / "vendor" / "xterm"
    sums = dict(line.split()[::-1] for line in (vendored / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in vendored.iterdir()} - {"SHA256SUMS", "README.md"}
    assert files == set(sums)
    for name, expected in sums.items():
        assert hashlib.sha256((vendored / name).read_bytes()).hexdigest() == expected, name
        assert b"sourceMappingURL" not in (vendored / name).read_bytes()


def test_browser_speaks_the_frames_of_the_session_host() -> None:
    script = Path(STATIC / "moorage" / "terminal-wire.js").read_text()

    def numbers(name: str) -> dict[str, int]:
        table = re.search(rf"const {name} = Object.freeze\(\{{(.*?)\}}\)", script, re.DOTALL)[1]
        return {key: int(value, 0) for key, value in re.findall(r"(\w+): (\w+)", table)}

    for ours, theirs in ((wire.Kind, "Kind"), (wire.Problem, "Problem"), (wire.Wish, "Wish")):
        assert {each.name: each.value for each in ours}.items() <= numbers(theirs).items()
    assert f'"{wire.SUBPROTOCOL}"' in script
    assert f"ACK_EVERY = {wire.ACK_EVERY};" in script
    assert f"MOST_INPUT = {wire.MOST_INPUT};" in script
