"""Whether a part of the stack can be used now. A probe answers "" when it can, else the reason in words.

Every probe returns within about a second and never raises for a part that is merely not there yet.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from pathlib import Path

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

Probe = Callable[[], str]

_PATIENCE_S = 1.0


def redis_answers(*, path: Path) -> Probe:
    """The redis-server behind this unix socket answers PING, so it has loaded its file."""

    def probe() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PATIENCE_S)
            try:
                client.connect(str(path))
                client.sendall(b"PING\r\n")
                answer = client.recv(200).decode("ascii", "replace").strip()
            except OSError as error:
                return f"no answer on its socket ({error.strerror or error})"
        return "" if answer == "+PONG" else f"it answers {answer!r}"

    return probe


def http_answers(*, port: int, path: str) -> Probe:
    """An HTTP server on this port of 127.0.0.1 answers ``path`` with anything but a server error."""

    def probe() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        try:
            # What a proxy in front would say: without it, MOORAGE_HTTPS=1 answers with a redirect to https.
            connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer on port {port} ({getattr(error, 'strerror', None) or error})"
        finally:
            connection.close()
        return "" if status < 500 else f"{path} answers {status}"

    return probe


def worker_consumes(*, broker_url: str, node: str) -> Probe:
    """The Celery worker of this name answers a ping by way of the broker: it is connected and consumes."""
    caller = Celery("moorage-probe", broker=broker_url, set_as_current=False)
    caller.conf.broker_connection_retry = False
    caller.conf.broker_transport_options = {
        "socket_timeout": _PATIENCE_S,
        "socket_connect_timeout": _PATIENCE_S,
    }

    def probe() -> str:
        try:
            with caller.connection_for_write() as connection:
                answers = caller.control.ping(destination=[node], timeout=0.3, connection=connection)
        except (OperationalError, RedisError, OSError) as error:
            return f"the broker does not answer ({type(error).__name__})"
        return "" if answers else f"{node} does not answer a ping yet"

    return probe
