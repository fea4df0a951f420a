"""The Docker engine of this machine: one connection per use, behind a breaker, and what its refusals mean."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import docker.errors
import requests
from django.conf import settings

from events.faults import FaultClass
from resources import breakers
from resources.sandboxes.policy import GVISOR
from resources.sandboxes.protocol import IsolationUnavailable, SandboxFailed

CALL_S = 60
_USUAL = "unix:///var/run/docker.sock"
UNREACHABLE = (docker.errors.DockerException, requests.exceptions.RequestException)
_GVISOR_TELL = "runsc install && systemctl reload docker"
_GVISOR_REMEDY = f"Install gVisor, then: {_GVISOR_TELL}"
_GVISOR_GET = "apt-get install runsc (Debian), or as https://gvisor.dev/docs/user_guide/install/ says"
_LOOK_S = 5
_SILENT = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)

_versions: dict[str, str] = {}  # of the interface that each engine was last seen to speak, by its breaker's name


class EngineResting(docker.errors.DockerException):
    """The engine failed again and again: it is not asked for a moment."""


class EngineUnreachable(SandboxFailed):
    """The engine does not answer: whether the sandbox is there cannot be said."""

    fault_class = FaultClass.TRANSIENT
    code = "engine.unreachable"
    remedy = "Start the Docker engine of this host; `python manage.py doctor` says whether it answers."


class _NoAnswer(Exception):
    """The engine did not even say its version."""


@contextmanager
def engine(*, timeout_s: int = CALL_S) -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names, closed afterwards."""
    if (socket := _socket()) and not socket.exists():
        # Nothing to be gentle with: most hosts without an engine never had one.
        raise docker.errors.DockerException(f"there is no engine at {socket}")
    try:
        with breakers.guard(service(), failures=(_NoAnswer,)):
            try:
                client = _client(timeout_s)
            except UNREACHABLE as error:
                raise _NoAnswer(words(error)) from error
    except _NoAnswer as error:
        raise (error.__cause__ or error) from None
    except breakers.ServiceResting as resting:
        raise EngineResting(resting.detail) from resting
    try:
        yield client
    finally:
        client.close()


def _client(timeout_s: int) -> docker.DockerClient:
    """A client of an engine that has just answered. Its version is asked for once: that takes it 5 ms each time."""
    name = service()
    known = _versions.get(name)
    client = docker.from_env(timeout=timeout_s, version=known or "auto")
    if known is None:
        _versions[name] = client.api.api_version
        return client
    try:
        client.ping()
    except UNREACHABLE as error:
        _versions.pop(name, None)  # whoever answers next may be another
        client.close()
        if isinstance(error, docker.errors.APIError):  # it answers, and does not speak that version any more
            return _client(timeout_s)
        raise
    return client


def _socket() -> Path | None:
    """Where the engine listens; None where that is no place on this machine."""
    where = os.environ.get("DOCKER_HOST") or _USUAL
    return Path(where.removeprefix("unix://")) if where.startswith("unix://") else None


def service() -> str:
    """What its breaker is called: each host has an engine of its own, and may be told to use another."""
    where = os.environ.get("DOCKER_HOST", "")
    other = f".{hashlib.sha256(where.encode()).hexdigest()[:8]}" if where else ""
    return f"engine.{settings.HOST_NAME}{other}"


def is_silence(error: Exception) -> bool:
    """Whether the engine did not answer at all, rather than refuse."""
    if isinstance(error, docker.errors.APIError):
        return False
    return isinstance(error, (*_SILENT, docker.errors.DockerException))


def words(error: Exception) -> str:
    """What the engine said, bounded."""
    return str(getattr(error, "explanation", None) or error)[:300]


def failure(what: str, error: Exception) -> SandboxFailed:
    """The engine's trouble as a fault: silence is told from a refusal."""
    kind = EngineUnreachable if is_silence(error) else SandboxFailed
    return kind(f"{what}: {words(error)}")


def require_runtime(runtime: str) -> None:
    """IsolationUnavailable where the engine does not have it; the engine's own, which is empty, is always there."""
    if not runtime:
        return
    try:
        with engine() as client:
            known = client.info()["Runtimes"]
    except UNREACHABLE as error:
        raise failure("The container engine does not answer", error) from error
    if runtime not in known:
        raise IsolationUnavailable(f"container: the engine has no runtime {runtime}", remedy=_GVISOR_REMEDY)


def gvisor_lacks() -> tuple[str, str]:
    """(what this host is missing for gVisor, how to get it); both empty where a container can run on it."""
    try:
        with engine(timeout_s=_LOOK_S) as client:
            known = client.info()["Runtimes"]
    except UNREACHABLE as error:
        return f"no Docker engine answers ({type(error).__name__})", f"Install and start Docker. {_GVISOR_REMEDY}"
    if GVISOR in known:
        return "", ""
    if shutil.which(GVISOR):
        return f"the program {GVISOR} is here, but the engine does not know it", _GVISOR_TELL
    return f"neither the program {GVISOR} nor a runtime of the engine", f"{_GVISOR_GET}; then: {_GVISOR_TELL}"
