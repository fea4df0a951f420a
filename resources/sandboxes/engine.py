"""The Docker engine of this machine: one connection per use, and what its refusals mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import docker.errors
import requests

CALL_S = 60
UNREACHABLE = (docker.errors.DockerException, requests.exceptions.RequestException)


@contextmanager
def engine(*, timeout_s: int = CALL_S) -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names, closed afterwards."""
    client = docker.from_env(timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


def words(error: Exception) -> str:
    """What the engine said, bounded."""
    return str(getattr(error, "explanation", None) or error)[:300]
