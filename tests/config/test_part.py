"""``python -m config.part``: each part needs what it needs, and nothing of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from config.parts import ROOT, parts


def _part(name: str, data: Path, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MOORAGE_DATA": str(data), "MOORAGE_REDIS_URL": "redis://127.0.0.1:1/0", **given}
    argv = [sys.executable, "-m", "config.part", name, "--probe"]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_flower_s_settings_and_password_are_flower_s_own_business(tmp_path: Path) -> None:
    asked = _part("beat", tmp_path, MOORAGE_FLOWER_USER="a:b")
    assert (asked.returncode, asked.stderr) == (1, "beat: nobody can ask this part\n")
    assert not (tmp_path / "secrets" / "flower_password").exists()
    refused = _part("flower", tmp_path, MOORAGE_FLOWER_USER="a:b")
    assert refused.returncode == 2
    assert "MOORAGE_FLOWER_USER" in refused.stderr


def test_an_unknown_part_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    asked = _part("weather", tmp_path)
    assert asked.returncode == 2
    assert "flower" in asked.stderr.rpartition("there are")[2]


def test_the_web_process_takes_frames_as_long_as_the_longest_that_is_allowed_and_no_megabytes(tmp_path: Path) -> None:
    table = {part.name: part for part in parts({"MOORAGE_DATA": str(tmp_path)}, leave_out=frozenset({"flower"}))}
    argv = table["web"].argv
    assert argv[argv.index("--ws-max-size") + 1] == "131072"
