"""What Moorage needs of a machine, as a table of pure checks; :mod:`config.measures` looks at the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from config.measures import Measured
from resources.sandboxes.protocol import Availability, Tier

_GIT_AT_LEAST = (
    2,
    30,
)  # Debian 11 has it; nothing older was tried
_DISK_AT_LEAST_MB = 2048
_DISK_COMFORTABLE_MB = 10_240


@dataclass(frozen=True, slots=True)
class Verdict:
    """One need: there or not, what was found, and the command that mends it."""

    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the name of its check and whether Moorage can do without."""

    name: str
    required: bool
    ok: bool
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    name: str
    required: bool
    decide: Callable[[Measured], Verdict]


def examine(measured: Measured) -> tuple[Finding, ...]:
    """Every check's finding, in the order of the table, then one for each isolation tier."""
    findings = [_finding(check.name, required=check.required, verdict=check.decide(measured)) for check in CHECKS]
    tiers = (_finding(f"tier {a.tier.value}", required=False, verdict=tier(a)) for a in measured.tiers)
    return (*findings, *tiers)


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing that is required is missing."""
    return all(finding.ok for finding in findings if finding.required)


def _finding(name: str, *, required: bool, verdict: Verdict) -> Finding:
    remedy = "" if verdict.ok else verdict.remedy
    return Finding(name=name, required=required, ok=verdict.ok, detail=verdict.detail, remedy=remedy)


def python(measured: Measured) -> Verdict:
    """Python 3.11, which the locks are made for."""
    version = ".".join(str(part) for part in measured.python[:3])
    return Verdict(measured.python[:2] == (3, 11), version, "Install Python 3.11, then: rm -r .venv && make setup")


def git(measured: Measured) -> Verdict:
    """A git that is new enough for bundles and apply --recount."""
    if measured.git is None:
        return Verdict(False, "not found", "apt-get install git")
    found = ".".join(str(part) for part in measured.git)
    wanted = ".".join(str(part) for part in _GIT_AT_LEAST)
    return Verdict(measured.git >= _GIT_AT_LEAST, f"{found} (at least {wanted})", "apt-get install git")


def data(measured: Measured) -> Verdict:
    """MOORAGE_DATA can be written by us, and its secrets be read by nobody else."""
    at = measured.data
    if not measured.data_writable:
        return Verdict(False, f"{at} cannot be written", f"mkdir -p {at} && chown $(id -u) {at}")
    if open_to_others := sorted(str(path) for path, mode in measured.private_modes.items() if mode & 0o077):
        listed = " ".join(open_to_others)
        return Verdict(False, f"others can reach {listed}", f"chmod go= {listed}")
    return Verdict(True, str(at))


def disk(measured: Measured) -> Verdict:
    """Room for workspaces; less than 10 GB is said, less than 2 GB is too little."""
    free = measured.disk_free_mb
    detail = f"{free} MB free" + (" (tight)" if free < _DISK_COMFORTABLE_MB else "")
    return Verdict(free >= _DISK_AT_LEAST_MB, detail, "Make room, or set MOORAGE_DATA to a larger file system.")


def database(measured: Measured) -> Verdict:
    """The database answers and has every migration."""
    return readiness(measured.database, measured.database_error, measured.unapplied)


def readiness(database: str, error: str, unapplied: int) -> Verdict:
    """Whether the database can be worked with, for a command that cannot do without."""
    if error:
        return Verdict(False, error, "Check MOORAGE_DATABASE_URL and that the server runs.")
    if unapplied:
        detail = f"{unapplied} migrations are missing"
        return Verdict(False, detail, "make up (it migrates), or: .venv/bin/python manage.py migrate")
    return Verdict(True, f"{database} answers, all migrations applied")


def redis(measured: Measured) -> Verdict:
    """A configured Redis answers; without one, the bundled server can be started."""
    remedy = (
        "make setup, or set MOORAGE_REDIS_URL" if measured.redis_bundled else "Start it, or mend MOORAGE_REDIS_URL."
    )
    return Verdict(not measured.redis_error, measured.redis_error or measured.redis, remedy)


def isolation(measured: Measured) -> Verdict:
    """At least one tier that isolates, or the operator's word that none is needed."""
    usable = [a.tier for a in measured.tiers if a.available and (a.tier is not Tier.BARE or measured.allow_bare)]
    if not usable:
        remedies = " | ".join(a.remedy for a in measured.tiers if not a.available and a.remedy)
        return Verdict(False, "no tier can be used", remedies or "apt-get install bubblewrap")
    strongest = max(usable, key=lambda found: found.strength)
    if measured.isolation and measured.isolation not in usable:
        wanted = next((a for a in measured.tiers if a.tier.value == measured.isolation), None)
        reason = wanted.reason if wanted else "this version has no such tier"
        remedy = (wanted.remedy if wanted else "") or "Unset MOORAGE_ISOLATION."
        return Verdict(False, f"MOORAGE_ISOLATION={measured.isolation}: {reason}", remedy)
    return Verdict(True, f"{measured.isolation or strongest.value} will be used")


def tier(answer: Availability) -> Verdict:
    """One isolation tier's own answer."""
    return Verdict(answer.available, answer.reason or "available", answer.remedy)


def toolchain(measured: Measured) -> Verdict:
    """What berths run tests with."""
    detail = measured.toolchain_error or f"{measured.toolchain} works"
    return Verdict(not measured.toolchain_error, detail, "make setup")


def ports(measured: Measured) -> Verdict:
    """Leased ports that the kernel would also hand to outgoing connections clash now and then."""
    first, last = measured.ports
    low, high = measured.ephemeral
    shared = [port for port in range(max(first, low), min(last, high) + 1) if port not in measured.reserved]
    if not shared:
        return Verdict(True, f"{first}-{last}, apart from the kernel's {low}-{high}")
    remedy = f"sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}, or set MOORAGE_PORT_RANGE below {low}"
    return Verdict(False, f"{len(shared)} ports of {first}-{last} lie in the kernel's {low}-{high}", remedy)


def workspaces(measured: Measured) -> Verdict:
    """Workspaces that the kernel holds to their size; else they are counted, and stopped when they grow too large."""
    if measured.workspaces == "image":
        return Verdict(True, "each is a file system of its own: bounded in bytes and files")
    remedy = "Run the worker as root, with loop devices (modprobe loop) and: apt-get install e2fsprogs mount"
    if measured.workspaces == "none":
        return Verdict(False, measured.workspaces_reason, f"{remedy}; or unset MOORAGE_WORKSPACES")
    if measured.workspaces_reason.startswith("MOORAGE_WORKSPACES="):
        remedy = "Unset MOORAGE_WORKSPACES."
    return Verdict(False, f"disk is counted, not bounded: {measured.workspaces_reason}", remedy)


def gvisor(measured: Measured) -> Verdict:
    """A kernel of its own for each container whose template asks for it (``isolation.runtime: runsc``)."""
    detail = measured.gvisor_error or "the engine knows it; a template asks for it: isolation.runtime: runsc"
    return Verdict(not measured.gvisor_error, detail, measured.gvisor_remedy)


def models(measured: Measured) -> Verdict:
    """A chain of chat models. The engines patch, codemod, repair and replay work without."""
    if measured.models_error:
        return Verdict(False, measured.models_error, measured.models_remedy)
    return Verdict(True, measured.models)


def flower(measured: Measured) -> Verdict:
    """The task monitor."""
    return Verdict(measured.has_flower, "installed" if measured.has_flower else "not installed", "make setup")


def chromium(measured: Measured) -> Verdict:
    """Only the browser tests need it."""
    return Verdict(bool(measured.chromium), measured.chromium or "not found", "apt-get install chromium")


CHECKS: tuple[Check, ...] = (
    Check("python", True, python),
    Check("git", True, git),
    Check("data directory", True, data),
    Check("disk", True, disk),
    Check("database", True, database),
    Check("redis", True, redis),
    Check("isolation", True, isolation),
    Check("toolchain", True, toolchain),
    Check("workspaces", False, workspaces),
    Check("gvisor", False, gvisor),
    Check("port range", False, ports),
    Check("chat models", False, models),
    Check("flower", False, flower),
    Check("chromium", False, chromium),
)
