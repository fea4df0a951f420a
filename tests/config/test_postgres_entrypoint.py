"""deploy/postgres-entrypoint.sh: a start that was cut off at any point is made good by the next one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "postgres-entrypoint.sh"
INITDB = """#!/bin/sh
for given in "$@"; do case $given in --pgdata=*) data=${given#--pgdata=};; esac; done
mkdir -p "$data/base" && echo 15 >"$data/PG_VERSION" && echo fresh >"$data/base/1" && echo conf >"$data/postgresql.conf"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Stand-ins for PostgreSQL's own: what they would write is not the point here, but when."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in {"initdb": INITDB, "postgres": "#!/bin/sh\ncat >/dev/null\n"}.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return place


def start(data: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "PGDATA": str(data), "POSTGRES_USER": "u", "POSTGRES_DB": "d",
        "POSTGRES_PASSWORD_FILE": "/dev/null",
    }  # fmt: skip
    return subprocess.run(["sh", SCRIPT, "true"], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "left",
    [
        ("making/base/1",), ("making/PG_VERSION", "making/base/1"),
        ("base/1", "making/PG_VERSION", "making/postgresql.conf"), ("base/1", "postgresql.conf", "making/PG_VERSION"),
        ("lost+found/x", "base/1", "making/PG_VERSION"),
    ],
)  # fmt: skip
def test_a_cluster_that_was_cut_off_while_it_was_made_is_made_again(
    tmp_path: Path, programs: Path, left: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    for name in left:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("old")
    for _ in range(2):
        done = start(data, programs)
        assert done.returncode == 0, done.stderr
        assert (data / "base" / "1").read_text() == "fresh\n"
        assert (data / "PG_VERSION").read_text() == "15\n"
        assert not (data / "making").exists()


def test_what_is_no_cluster_is_refused_and_not_touched(tmp_path: Path, programs: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "diary").write_text("mine")
    done = start(data, programs)
    assert done.returncode != 0
    assert "empty it" in done.stderr
    assert [path.name for path in data.iterdir()] == ["diary"]
