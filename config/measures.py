"""Asks the machine what the doctor wants to know. Missing things are values here, never exceptions."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from redis import Redis
from redis.exceptions import RedisError

from agents.gateway.own_prices import BadPriceFile, read_own
from agents.providers import NotConfigured, read_chain
from config.environment import TABLE, Environment
from config.parts import NoRedis, redis_executable
from events.faults import Fault
from resources import workspaces
from resources.sandboxes.engine import gvisor_lacks
from resources.sandboxes.protocol import Availability
from resources.sandboxes.selection import availabilities

_PATIENCE_S = 10.0
_PRIVATE = ("secrets", "run")  # beneath MOORAGE_DATA: keys and sockets


@dataclass(frozen=True, slots=True)
class Measured:
    """This machine, as far as the doctor asks. An empty ``…_error`` means that all is well."""

    python: tuple[int, ...]
    git: tuple[int, ...] | None
    data: Path
    data_writable: bool
    private_modes: Mapping[Path, int]
    disk_free_mb: int
    database: str
    database_error: str
    unapplied: int
    redis: str
    redis_error: str
    redis_bundled: bool
    tiers: tuple[Availability, ...]
    isolation: str
    allow_bare: bool
    toolchain: Path
    toolchain_error: str
    ports: tuple[int, int]
    ephemeral: tuple[int, int]
    reserved: frozenset[int]
    models: str
    models_error: str
    models_remedy: str
    has_flower: bool
    chromium: str
    workspaces: str = "image"
    workspaces_reason: str = ""
    gvisor_error: str = ""
    gvisor_remedy: str = ""


def measure(environment: Mapping[str, str]) -> Measured:
    """One look at everything, in about a second."""
    database, database_error, unapplied = look_at_database()
    redis, redis_error, bundled = _redis(Environment(environment))
    models, models_error, models_remedy = _models(environment)
    gvisor_error, gvisor_remedy = gvisor_lacks()
    private = (settings.DATA / name for name in _PRIVATE)
    return Measured(
        python=tuple(sys.version_info[:3]),
        git=_git_version(_output_of("git", "--version")),
        data=settings.DATA,
        data_writable=os.access(settings.DATA, os.W_OK | os.X_OK),
        private_modes={path: path.stat().st_mode & 0o777 for path in private if path.is_dir()},
        disk_free_mb=shutil.disk_usage(settings.DATA).free // 1_000_000,
        database=database,
        database_error=database_error,
        unapplied=unapplied,
        redis=redis,
        redis_error=redis_error,
        redis_bundled=bundled,
        tiers=availabilities(),
        isolation=settings.ISOLATION,
        allow_bare=settings.ALLOW_BARE,
        toolchain=settings.TOOLCHAIN,
        toolchain_error=_toolchain_error(settings.TOOLCHAIN),
        ports=settings.PORT_RANGE,
        ephemeral=_ephemeral(_kernel("ip_local_port_range")),
        reserved=parse_ports(_kernel("ip_local_reserved_ports")),
        models=models,
        models_error=models_error,
        models_remedy=models_remedy,
        has_flower=importlib.util.find_spec("flower") is not None,
        chromium=shutil.which("chromium") or "",
        gvisor_error=gvisor_error,
        gvisor_remedy=gvisor_remedy,
        **_workspaces(),
    )


def _workspaces() -> dict[str, str]:
    try:
        offer = workspaces.offer()
    except Fault as fault:
        return {"workspaces": "none", "workspaces_reason": fault.detail}
    return {"workspaces": offer.kind.value, "workspaces_reason": offer.reason}


def _output_of(*argv: str) -> str:
    """What a program prints; "" when it is not there, fails or takes too long."""
    try:
        ran = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.decode("utf-8", "replace").strip()


def _git_version(text: str) -> tuple[int, ...] | None:
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else None


def look_at_database() -> tuple[str, str, int]:
    """(its kind, why it does not answer or "", how many migrations it lacks)."""
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return connection.vendor, f"{connection.vendor} does not answer: {_first_line(error)}", 0
    return connection.vendor, "", len(missing)


def _redis(env: Environment) -> tuple[str, str, bool]:
    if url := env.text("MOORAGE_REDIS_URL"):
        try:
            with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
                version = client.info("server")["redis_version"]
        except (RedisError, ValueError) as error:
            return "", f"MOORAGE_REDIS_URL does not answer: {_first_line(error)}", False
        return f"{version} at MOORAGE_REDIS_URL", "", False
    try:
        executable = redis_executable()
    except NoRedis as fault:
        return "", fault.detail, True
    version = _output_of(executable, "--version")
    found = re.search(r"v=(\S+)", version)
    if found is None:
        return "", f"{executable} does not run", True
    return f"{found[1]}, started by make up", "", True


def _toolchain_error(toolchain: Path) -> str:
    if not (toolchain / "bin" / "python").exists():
        return f"{toolchain} is not there"
    if not _output_of(str(toolchain / "bin" / "python"), "-I", "-c", "import pytest; print(pytest.__version__)"):
        return f"{toolchain} cannot import pytest"
    return ""


def _kernel(name: str) -> str:
    path = Path("/proc/sys/net/ipv4") / name
    return path.read_text() if path.exists() else ""


def _ephemeral(text: str) -> tuple[int, int]:
    low, high = (int(part) for part in text.split()) if text.strip() else (32768, 60999)
    return low, high


def parse_ports(text: str) -> frozenset[int]:
    """The ports of the kernel's notation: ``8080,9000-9100``."""
    ports: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        ports.update(range(int(first), int(last or first) + 1))
    return frozenset(ports)


def _models(environment: Mapping[str, str]) -> tuple[str, str, str]:
    env = Environment(environment)
    values = {setting.name: env.text(setting.name) for setting in TABLE}
    own_list = values["MOORAGE_MODEL_PRICES"]
    try:
        chain = read_chain(values)
        read_own(Path(own_list) if own_list else None)
    except NotConfigured as fault:
        return "", fault.detail, fault.remedy_text
    except BadPriceFile as error:
        return "", str(error), "Mend the price file: docs/models.md says what may stand in it."
    if chain is None:
        return "", "none: requirements in prose need one", NotConfigured.remedy
    return ", then ".join(model.label for model in chain.models), "", ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
