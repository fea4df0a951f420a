"""docs/egress.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from resources.egress.proxy import Caps

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "egress.md").read_text("utf-8")


def test_every_reason_of_a_refusal_is_on_the_page_and_no_other() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "resources" / "egress").glob("*.py"))
    pattern = r"(?:address|tunnel|caps|denials)\.[a-z_0-9]+|not_allowed|request\.malformed"
    said = set(re.findall(rf'"({pattern})"', code))
    table = PAGE.split("## Reasons")[1].split("##")[0]
    assert set(re.findall(rf"`({pattern})`", table)) == said


def test_the_caps_of_the_page_are_those_of_the_code() -> None:
    caps = Caps()
    rows = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", PAGE.split("| cap | value |")[1], re.M))
    assert rows["connections of a berth at once"] == str(caps.connections)
    assert rows["head of a request"] == f"16 KiB within {caps.head_s:.0f} s"
    assert rows["look-up and connect"] == f"{caps.connect_s:.0f} s"
    assert rows["silence"] == f"{caps.idle_s:.0f} s"
    assert rows["life of a connection"] == f"{caps.life_s / 3600:.0f} h"
    figures = f"{caps.connection_bytes >> 30} GiB, {caps.berth_bytes >> 30} GiB"
    assert rows["bytes of a connection, of a berth since the proxy started"] == figures
