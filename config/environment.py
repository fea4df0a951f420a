"""Every setting that an operator can give, in one closed table.

The table is what ``docs/settings.md`` is generated from, and a name that is not in it is not read.
Values come from the environment; ``NAME_FILE`` gives a secret as a file instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class BadSetting(Exception):
    """A setting has a value that cannot be used; the message names it and says what is expected."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One operator setting: its default as text, and what it is for."""

    name: str
    default: str
    help: str
    secret: bool = False


TABLE: tuple[Setting, ...] = (
    Setting("MOORAGE_DATA", "var", "Where data lives: database, vaults, workspaces, logs."),
    Setting(
        "MOORAGE_SECRET_KEY", "", "Django's secret key; made once and kept in MOORAGE_DATA when empty.", secret=True
    ),
    Setting(
        "MOORAGE_DATABASE_URL", "", "postgresql://user@host/name for a team; SQLite under MOORAGE_DATA when empty."
    ),
    Setting("MOORAGE_DATABASE_PASSWORD", "", "The database password, kept out of the URL.", secret=True),
    Setting(
        "MOORAGE_DATABASE_KEEP_S",
        "0",
        "How long a PostgreSQL connection is kept for reuse, in seconds; `make up` gives its workers 600.",
    ),
    Setting(
        "MOORAGE_REDIS_URL", "", "redis:// or unix:// URL; the bundled redis-server is started when empty.", secret=True
    ),
    Setting("MOORAGE_DEBUG", "0", "Django's debug mode: for development only."),
    Setting("MOORAGE_ALLOWED_HOSTS", "127.0.0.1,localhost", "Host names the web process answers to, comma-separated."),
    Setting("MOORAGE_TRUSTED_ORIGINS", "", "Origins (scheme://host:port) of browsers behind a proxy, comma-separated."),
    Setting("MOORAGE_HTTPS", "0", "1 behind TLS: secure cookies, HSTS, redirects to https."),
    Setting("MOORAGE_WEB_PORT", "8000", "Port of the web process on 127.0.0.1."),
    Setting("MOORAGE_FLOWER_PORT", "5555", "Port of Flower on 127.0.0.1."),
    Setting(
        "MOORAGE_FLOWER_URL",
        "",
        "Where browsers reach Flower, for the console's link; empty: its port, for browsers of this machine only.",
    ),
    Setting("MOORAGE_FLOWER_USER", "operator", "User name of Flower's basic auth."),
    Setting(
        "MOORAGE_FLOWER_PASSWORD",
        "",
        "Password of Flower's basic auth; made once and kept in MOORAGE_DATA when empty.",
        secret=True,
    ),
    Setting("MOORAGE_HOST_NAME", "node-1", "Name of the host that this worker lends berths of."),
    Setting("MOORAGE_HOST_SLOTS", "0", "Berths at once on this host; 0 means twice the number of cores."),
    Setting("MOORAGE_HOST_MEMORY_MB", "0", "Memory lent to berths, in MB; 0 means three quarters of the machine's."),
    Setting(
        "MOORAGE_HOST_CPU_MILLIS", "0", "Processor time lent, in thousandths of a core; 0 means all cores, twice over."
    ),
    Setting(
        "MOORAGE_HOST_DISK_MB", "0", "Disk lent to workspaces, in MB; 0 means half of what is free at the first start."
    ),
    Setting(
        "MOORAGE_WORKSPACES",
        "auto",
        "What holds workspaces to their size: image (a file system each), directory (counted), or auto.",
    ),
    Setting(
        "MOORAGE_VOLUME_SOURCES",
        "",
        "Directories of the host that templates may mount, with what lies beneath: read-only. Colon-separated.",
    ),
    Setting(
        "MOORAGE_SHARED_VOLUMES",
        "",
        "Volumes that berths of all projects share on a host: wheels,models:rw. Read-only, but for those marked :rw.",
    ),
    Setting("MOORAGE_PORT_RANGE", "20000-20999", "Ports lent to berths, outside the kernel's ephemeral range."),
    Setting(
        "MOORAGE_PORT_QUARANTINE_S",
        "60",
        "How long a port rests after its release before it is lent again, in seconds: old connections run out.",
    ),
    Setting(
        "MOORAGE_USER_QUOTA",
        "",
        "What one user may hold at a time: slots=4,memory_mb=8192,cpu_millis=4000,disk_mb=9000, or a part of it.",
    ),
    Setting("MOORAGE_PROJECT_QUOTA", "", "The same for one project, over all its users."),
    Setting(
        "MOORAGE_AGING_S",
        "600",
        "After each such time of waiting for a berth, priority counts one higher, in seconds; 0 is never.",
    ),
    Setting(
        "MOORAGE_WARM_POOL",
        "",
        "Containers kept ready on each host, by template: python=2,web=1. They count in what the host lends.",
    ),
    Setting("MOORAGE_UID_RANGE", "210000-214999", "User ids lent to berths where the service is root; nobody else's."),
    Setting("MOORAGE_WORKER_PROCESSES", "2", "Children of the worker started by `make up`."),
    Setting(
        "MOORAGE_ISOLATION",
        "",
        "Use exactly this tier (container, process, landlock, bare) instead of the strongest found.",
    ),
    Setting("MOORAGE_ALLOW_BARE", "0", "1 allows a bare subprocess without isolation, for templates that accept it."),
    Setting(
        "MOORAGE_TOOLCHAIN",
        ".toolchain",
        "Virtual environment that berths get read-only: python, pytest and the tools of codemods.",
    ),
    Setting(
        "MOORAGE_BERTH_SECRETS",
        "",
        "Directory of the secrets that templates name, a file each, mode 600; MOORAGE_DATA/secrets/berths when empty.",
    ),
    Setting(
        "MOORAGE_REPOSITORY_ROOTS", "", "Directories beneath which local repositories are allowed, colon-separated."
    ),
    Setting(
        "MOORAGE_REPOSITORY_HOSTS",
        "",
        "Hosts allowed although they are private or loopback addresses, comma-separated.",
    ),
    Setting(
        "MOORAGE_GIT_TOKEN", "", "Token for https remotes, handed to git by a credential helper only.", secret=True
    ),
    Setting(
        "MOORAGE_EGRESS_PRIVATE_HOSTS",
        "",
        "Hosts that berths may be granted although their addresses are private, comma-separated.",
    ),
    Setting(
        "MOORAGE_PACKAGE_MIRROR_URL",
        "",
        "Package index for berths whose template says `network.mirror`: https://host/simple/, no credentials.",
    ),
    Setting("MOORAGE_NPM_REGISTRY_URL", "", "npm registry for the same berths; MOORAGE_PACKAGE_MIRROR_URL when empty."),
    Setting(
        "MOORAGE_DEBIAN_MIRROR",
        "",
        "Where the same berths get Debian's packages: a line of sources.list, `deb http://host/debian bookworm main`.",
    ),
    Setting("MOORAGE_GIT_TOKEN_HOSTS", "github.com", "Hosts that are shown MOORAGE_GIT_TOKEN, comma-separated."),
    Setting("MOORAGE_GIT_SSH_KEY_FILE", "", "Private key for ssh remotes; empty: those that ssh itself finds."),
    Setting(
        "MOORAGE_GIT_SSH_KNOWN_HOSTS_FILE",
        "",
        "Keys of ssh servers; others are refused. Empty: the file of ssh itself.",
    ),
    Setting(
        "MOORAGE_GITHUB_URL",
        "https://api.github.com",
        "Base URL of GitHub's REST API (GitHub Enterprise: https://host/api/v3).",
    ),
    Setting("MOORAGE_GITHUB_TOKEN", "", "Token for pull requests on GitHub.", secret=True),
    Setting(
        "MOORAGE_GITHUB_WEBHOOK_SECRET",
        "",
        "Secret that GitHub signs webhook deliveries with; without it none is taken. See docs/forges.md.",
        secret=True,
    ),
    Setting(
        "MOORAGE_FORGE_CALLS_PER_HOUR",
        "200",
        "Requests per hour and credential that routine looks at pull requests may take; 0: webhooks alone.",
    ),
    Setting("MOORAGE_MODELS", "", "Chain of chat models, first to last: openai:NAME,anthropic:NAME,ollama:NAME."),
    Setting("OPENAI_API_KEY", "", "Key for models named openai:….", secret=True),
    Setting("OPENAI_BASE_URL", "", "Base URL of an OpenAI-compatible service."),
    Setting("ANTHROPIC_API_KEY", "", "Key for models named anthropic:….", secret=True),
    Setting("ANTHROPIC_BASE_URL", "", "Base URL of an Anthropic-compatible service."),
    Setting(
        "OLLAMA_BASE_URL", "", "Base URL of Ollama; http://127.0.0.1:11434 when neither it nor OLLAMA_HOST is given."
    ),
    Setting("OLLAMA_HOST", "", "Ollama's own name for the same: host:port or URL. OLLAMA_BASE_URL goes before it."),
    Setting("MOORAGE_MODEL_TIMEOUT_S", "120", "Longest wait for one model answer, in seconds."),
    Setting("MOORAGE_GATEWAY_PORT", "8010", "Port of the model gateway on 127.0.0.1."),
    Setting(
        "MOORAGE_GATEWAY_URL",
        "",
        "Where workers reach the gateway, if not on this machine: http://host:port. Loopback and its port when empty.",
    ),
    Setting(
        "MOORAGE_BUDGET",
        "run=5,day=50",
        "Hard limits in dollars by scope: call, run, agent, user, project (both per month), day (everybody's); "
        "run.tokens and run.calls likewise. An operator's budget goes before.",
    ),
    Setting("MOORAGE_BUDGET_SOFT", "0.8", "At which share of a limit a run draws attention; 1 is never."),
    Setting(
        "MOORAGE_MODEL_PRICES",
        "",
        "JSON file with prices of your own, in dollars per million tokens; see docs/models.md.",
    ),
    Setting(
        "MOORAGE_UNKNOWN_PRICE",
        "dearest",
        "What a model without a known price is charged: dearest (the highest known price), or refuse.",
    ),
    Setting("MOORAGE_REPAIR_S", "120", "How long the repair engine searches, in seconds, unless a template says."),
    Setting("MOORAGE_REPAIR_CANDIDATES", "50000", "How many edits it tries at most, unless a template says."),
    Setting(
        "MOORAGE_KEPT_RESULTS",
        "500",
        "How many results of each kind (analysis, clean tests, outlines) are kept for the same content; 0 is none.",
    ),
    Setting("MOORAGE_CLAIM_TTL_S", "30", "How long a stage claim lives without a heartbeat, in seconds."),
    Setting("MOORAGE_REDISPATCH_S", "20", "After how long a wake-up that nobody took is sent again, in seconds."),
    Setting("MOORAGE_SWEEP_S", "5", "How often the sweeps run, in seconds."),
    Setting(
        "MOORAGE_HOST_TTL_S",
        "10",
        "After how long without a heartbeat a host, or a gateway, counts as lost, in seconds.",
    ),
    Setting(
        "MOORAGE_DRAIN_S",
        "900",
        "How long agents may go on on a host that is drained, in seconds; then their work moves to another host.",
    ),
    Setting("MOORAGE_SAMPLE_S", "15", "How often hosts and berths are measured, in seconds."),
    Setting("MOORAGE_SAMPLES_KEEP_HOURS", "24", "For how long these measurements are kept, in hours."),
    Setting("MOORAGE_KEEP_WORK_DAYS", "30", "Days for which work of ended operations is kept; 0 is for ever."),
    Setting(
        "MOORAGE_TERMINAL_IDLE_S",
        "86400",
        "After how many seconds without a key or a byte of output a terminal is ended, with a warning; 0 is never.",
    ),
    Setting(
        "MOORAGE_TERMINAL_RECORDING",
        "output",
        "What is recorded of terminals where nobody asked for something else: none, output, or input (both).",
    ),
    Setting("MOORAGE_TERMINAL_RECORDING_MB", "16", "Largest recording of one terminal, in MB."),
    Setting("MOORAGE_TERMINAL_RECORDING_DAYS", "14", "Days for which recordings are kept; 0 is for ever."),
    Setting("MOORAGE_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR."),
)

_KNOWN = {setting.name: setting for setting in TABLE}


class Environment:
    """Typed reads of the table. Raises :class:`BadSetting` with the name and what would be right."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def text(self, name: str) -> str:
        setting = _KNOWN[name]
        if setting.secret and (file := self._values.get(f"{name}_FILE")):
            try:
                return Path(file).read_text().strip()
            except OSError as error:
                raise BadSetting(f"{name}_FILE cannot be read: {error.strerror}") from error
        return self._values.get(name, "") or setting.default

    def number(self, name: str, *, least: float = 0) -> float:
        value = self.text(name)
        try:
            number = float(value)
        except ValueError:
            raise BadSetting(f"{name}={value!r} is not a number") from None
        if not least <= number < float("inf"):
            raise BadSetting(f"{name}={value!r} must be a number from {least:g}")
        return number

    def whole(self, name: str, *, least: int = 0) -> int:
        number = self.number(name, least=least)
        if number != int(number):
            raise BadSetting(f"{name}={self.text(name)!r} must be a whole number")
        return int(number)

    def flag(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in {"0", "1", "true", "false", "yes", "no"}:
            raise BadSetting(f"{name}={value!r} must be 0 or 1")
        return value in {"1", "true", "yes"}

    def mirror(self, name: str) -> str:
        """An http or https URL that holds no credentials, or nothing: programs in berths print their environment."""
        value = self.text(name)
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
        except ValueError:
            good = False
        if value and (not good or "@" in value or not re.fullmatch(r"[!-~]+", value)):
            # Without the value: what is wrong with it may be that it holds a password.
            raise BadSetting(f"{name} must be http(s)://host[:port]/path without user name and password")
        return value

    def debian_mirror(self, name: str) -> str:
        """A line of sources.list with an http or https URL that holds no credentials, or nothing."""
        value = self.text(name)
        found = re.fullmatch(r"deb (?:\[[!-Z^-~ ]*\] )?(https?://[!-~]+)(?: [!-~]+)+", value)
        if value and (found is None or "@" in value or not urlsplit(found[1]).hostname):
            raise BadSetting(f"{name} must be `deb [options] http(s)://host[:port]/path SUITE COMPONENT…`")
        return value

    def names(self, name: str, *, separator: str = ",") -> list[str]:
        return [part.strip() for part in self.text(name).split(separator) if part.strip()]

    def lent(self, name: str) -> dict[str, str]:
        """NAME or NAME:rw, comma-separated: how each is lent, "ro" or "rw"."""
        found: dict[str, str] = {}
        for part in self.names(name):
            key, _, mode = part.partition(":")
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", key) or mode not in {"", "ro", "rw"} or key in found:
                raise BadSetting(f"{name}={self.text(name)!r} must be NAME or NAME:rw,… with each name once")
            found[key] = mode or "ro"
        return found

    def amounts(self, name: str, *, known: Collection[str] = ()) -> dict[str, int]:
        """NAME=NUMBER, comma-separated; without ``known`` any name will do."""
        found: dict[str, int] = {}
        for part in self.names(name):
            key, _, value = (piece.strip() for piece in part.partition("="))
            if not key or (known and key not in known) or not value.isdecimal() or key in found:
                wanted = f"one of {', '.join(known)}" if known else "each name once"
                raise BadSetting(f"{name}={self.text(name)!r} must be NAME=NUMBER,… with {wanted}")
            found[key] = int(value)
        return found

    def shares(self, name: str, *, known: Collection[str]) -> dict[str, float]:
        """NAME=NUMBER, comma-separated, with fractions."""
        found: dict[str, float] = {}
        for part in self.names(name):
            key, _, value = (piece.strip() for piece in part.partition("="))
            if key not in known or key in found or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
                wanted = f"one of {', '.join(known)}"
                raise BadSetting(f"{name}={self.text(name)!r} must be NAME=NUMBER,… with {wanted}")
            found[key] = float(value)
        return found

    def span(self, name: str, *, least: int, most: int) -> tuple[int, int]:
        """FIRST-LAST, both included."""
        first, _, last = self.text(name).partition("-")
        if not (first.isdecimal() and last.isdecimal() and least <= int(first) <= int(last) <= most):
            raise BadSetting(f"{name}={self.text(name)!r} must be FIRST-LAST within {least}-{most}")
        return int(first), int(last)

    def ports(self, name: str) -> tuple[int, int]:
        return self.span(name, least=1024, most=65535)
