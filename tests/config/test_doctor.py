"""The doctor: what is missing is named with the command that mends it, and never as a traceback."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from config.doctor import CHECKS, Finding, examine, healthy
from config.management.commands.doctor import Command
from config.measures import Measured, _models, parse_ports
from resources.sandboxes.protocol import Availability, Tier

ROOT = Path(__file__).resolve().parents[2]

SOUND = Measured(
    python=(3, 11, 7),
    git=(2, 39, 5),
    data=Path("/data"),
    data_writable=True,
    private_modes={Path("/data/secrets"): 0o700, Path("/data/run"): 0o700},
    disk_free_mb=50_000,
    database="sqlite",
    database_error="",
    unapplied=0,
    redis="6.2.14",
    redis_error="",
    redis_bundled=True,
    tiers=(
        Availability(Tier.CONTAINER, False, "no Docker engine", "apt-get install docker.io"),
        Availability(Tier.LANDLOCK, True, "", ""),
        Availability(Tier.BARE, True, "", ""),
    ),
    isolation="",
    allow_bare=False,
    toolchain=Path("/toolchain"),
    toolchain_error="",
    ports=(20000, 20999),
    ephemeral=(32768, 60999),
    reserved=frozenset(),
    models="openai/x",
    models_error="",
    models_remedy="",
    has_flower=True,
    chromium="/usr/bin/chromium",
)


def found(name: str, **changes: object) -> Finding:
    return {finding.name: finding for finding in examine(dataclasses.replace(SOUND, **changes))}[name]  # type: ignore[arg-type]


def test_a_sound_machine_is_healthy_without_every_tier() -> None:
    findings = examine(SOUND)
    assert healthy(findings)
    assert [finding.name for finding in findings if not finding.ok] == ["tier container"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("python", {"python": (3, 12, 1)}),
        ("git", {"git": None}),
        ("git", {"git": (2, 20, 1)}),
        ("data directory", {"data_writable": False}),
        ("data directory", {"private_modes": {Path("/data/secrets"): 0o755}}),
        ("disk", {"disk_free_mb": 500}),
        ("database", {"database_error": "postgresql does not answer"}),
        ("database", {"unapplied": 3}),
        ("redis", {"redis_error": "no answer"}),
        ("isolation", {"tiers": SOUND.tiers[:1]}),
        ("isolation", {"tiers": SOUND.tiers[2:]}),
        ("isolation", {"isolation": "container"}),
        ("isolation", {"isolation": "bare"}),
        ("toolchain", {"toolchain_error": "not there"}),
    ],
)
def test_what_is_required_and_missing_is_unhealthy_and_has_a_remedy(name: str, changes: dict[str, object]) -> None:
    finding = found(name, **changes)
    assert not finding.ok
    assert finding.required
    assert finding.remedy
    assert not healthy([finding])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("port range", {"ports": (32000, 33000)}),
        ("chat models", {"models_error": "none", "models_remedy": "Set MOORAGE_MODELS"}),
        ("gvisor", {"gvisor_error": "not installed", "gvisor_remedy": "apt-get install runsc"}),
        ("flower", {"has_flower": False}),
        ("chromium", {"chromium": ""}),
    ],
)
def test_what_is_optional_and_missing_has_a_remedy_and_is_healthy(name: str, changes: dict[str, object]) -> None:
    finding = found(name, **changes)
    assert not finding.ok
    assert finding.remedy
    assert healthy([finding])


def test_what_is_there_has_no_remedy() -> None:
    assert [finding.remedy for finding in examine(SOUND) if finding.ok and finding.remedy] == []


def test_bare_counts_only_where_the_operator_allows_it() -> None:
    assert found("isolation", tiers=SOUND.tiers[2:], allow_bare=True).ok


def test_one_shared_port_is_enough_for_a_warning() -> None:
    assert not found("port range", ports=(32000, 32768)).ok
    assert found("port range", ports=(32000, 32767)).ok


def test_ports_that_the_kernel_reserves_do_not_clash() -> None:
    assert found("port range", ports=(32760, 32770), reserved=parse_ports("8080,32760-32770\n")).ok


def test_the_kernel_without_reserved_ports_says_an_empty_line() -> None:
    assert parse_ports("\n") == frozenset()


def test_a_price_file_that_no_call_could_use_is_found_before_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"openai/x": {"since": "2026-01-01", "input": 1}}')
    environment = {"MOORAGE_MODELS": "ollama:x", "MOORAGE_MODEL_PRICES": str(path)}
    _, wrong, remedy = _models(environment)
    assert wrong.endswith("prices.json: openai/x: output is missing")
    assert remedy
    path.write_text('{"openai/x": {"since": "2026-01-01", "input": 1, "output": 2}}')
    os.utime(path, (1, 1))
    assert _models(environment) == ("ollama/x", "", "")


def test_names_of_checks_are_unique_and_documented() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.decide.__doc__ for check in CHECKS)


@pytest.mark.django_db
def test_the_command_prints_findings_as_json(settings: object) -> None:
    out = StringIO()
    try:
        call_command(Command(), "--json", stdout=out)
        code: object = 0
    except SystemExit as end:
        code = end.code
    document = json.loads(out.getvalue())
    assert document["ok"] is (code == 0)
    assert {"python", "database", "redis", "isolation"} <= {f["name"] for f in document["findings"]}
    database = next(f for f in document["findings"] if f["name"] == "database")
    assert database["ok"], database["detail"]


DIAGNOSE = (
    "import django; django.setup()\n"
    "from django.core.management import call_command\n"
    "from config.management.commands.doctor import Command\n"
    "call_command(Command())"
)


def test_a_dead_database_and_a_dead_redis_are_findings_without_secrets(tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "MOORAGE_DATA": str(tmp_path),
        "MOORAGE_DATABASE_URL": "postgresql://someone:dbsecret@127.0.0.1:1/nothing",
        "MOORAGE_REDIS_URL": "redis://:redissecret@127.0.0.1:1/0",
    }
    ran = subprocess.run(
        [sys.executable, "-c", DIAGNOSE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Missing: database, redis." in ran.stdout
    assert "dbsecret" not in ran.stdout + ran.stderr
    assert "redissecret" not in ran.stdout + ran.stderr
