"""What the container engine says as it happens: a container of ours died, and why. A hint: the sweep is the truth.

One listener per host follows the engine's events, finds it again when it goes away, and asks for what it missed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import docker.errors
from django.conf import settings

from resources.sandboxes import policy
from resources.sandboxes.engine import UNREACHABLE, engine, words

log = logging.getLogger(__name__)

KINDS = ("die", "oom", "kill", "destroy")
AGAIN_S = 1.0  # after the engine was silent
LATEST_AGAIN_S = 10.0
_SETTLE_S = 0.3  # one that we restart ourselves runs again by then
_SIGKILL_EXIT = 137
_SIGNALS = {"2": "SIGINT", "9": "SIGKILL", "15": "SIGTERM"}
_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Died:
    """A sandbox's container ended. ``removed``: it is not even there any more."""

    name: str
    owner: str
    cause: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """A process in the sandbox was ended for want of memory; the sandbox itself may live on."""

    name: str
    owner: str


class Causes:
    """Tells why a container died from what was said of it before. Pure but for its memory."""

    def __init__(self) -> None:
        self._signals: dict[str, str] = {}
        self._starved: dict[str, None] = {}

    def of(self, event: Mapping[str, Any]) -> Died | OutOfMemory | None:
        """What an event means; None for one that only prepares another."""
        actor = event.get("Actor") or {}
        key, said = str(actor.get("ID", "")), actor.get("Attributes") or {}
        name, owner = str(said.get(policy.LABEL, "")), str(said.get(policy.OWNER_LABEL, ""))
        match event.get("Action"):
            case "kill":
                self._signals[key] = str(said.get("signal", ""))
                _forget_oldest(self._signals)
            case "oom":
                self._starved[key] = None
                _forget_oldest(self._starved)
                return OutOfMemory(name, owner)
            case "die":
                return Died(name, owner, self._why(key, str(said.get("exitCode", ""))))
            case "destroy":
                self._signals.pop(key, None)
                self._starved.pop(key, None)
                return Died(name, owner, "it was removed", removed=True)
        return None

    def _why(self, key: str, exit_code: str) -> str:
        signal = self._signals.pop(key, "")
        if key in self._starved and exit_code == str(_SIGKILL_EXIT):
            del self._starved[key]
            return "out of memory"
        if signal:
            return f"killed by {_SIGNALS.get(signal, f'signal {signal}')}"
        if exit_code == str(_SIGKILL_EXIT):
            return "killed by SIGKILL, not through the engine"
        return f"exited with code {exit_code}"


def _forget_oldest(memory: dict[Any, Any]) -> None:
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]


def follow(
    *,
    on_event: Callable[[Died | OutOfMemory], None],
    on_silence: Callable[[str], None],
    on_answer: Callable[[], None],
    stop: Event,
) -> None:
    """Until ``stop``: report what dies as it dies, once that the engine went silent, and once that it answers again.

    What happened while nobody listened is reported late; the engine keeps it as long as it lives.
    """
    since, silent, pause_s = time.time(), False, AGAIN_S
    causes, seen = Causes(), dict[tuple[Any, ...], None]()
    while not stop.is_set():
        try:
            with engine() as client:
                if silent:
                    on_answer()
                silent, pause_s = False, AGAIN_S
                for event in _events(client, since=since):
                    since = event.get("timeNano", 0) / 1e9
                    if _again(event, seen):
                        continue
                    if (meaning := causes.of(event)) and (true := _confirmed(meaning)):
                        on_event(true)
                    if stop.is_set():
                        return
            trouble = "its events ended"
        except UNREACHABLE as error:
            trouble = words(error)
        if not silent and not _answers():
            silent = True
            on_silence(trouble)
        stop.wait(pause_s)
        pause_s = min(pause_s * 1.5, LATEST_AGAIN_S)


def _events(client: docker.DockerClient, *, since: float) -> Iterator[dict[str, Any]]:
    label = f"{policy.INSTALL_LABEL}={settings.INSTALL_ID}"
    filters = {"type": "container", "event": list(KINDS), "label": label}
    stream = client.events(since=int(since), filters=filters, decode=True)
    try:
        yield from stream
    finally:
        with contextlib.suppress(OSError):  # the engine has closed it already
            stream.close()


def _again(event: Mapping[str, Any], seen: dict[tuple[Any, ...], None]) -> bool:
    """Whether it was told before: the engine is asked by whole seconds."""
    key = (event.get("timeNano"), event.get("id"), event.get("Action"))
    if key in seen:
        return True
    seen[key] = None
    _forget_oldest(seen)
    return False


def _confirmed(meaning: Died | OutOfMemory) -> Died | OutOfMemory | None:
    """None when the container runs: it was started again, by us or by the engine."""
    if isinstance(meaning, OutOfMemory):
        return meaning
    if not meaning.removed:
        time.sleep(_SETTLE_S)
    try:
        with engine() as client:
            running = client.containers.get(meaning.name).status == "running"
    except docker.errors.NotFound:
        return Died(meaning.name, meaning.owner, meaning.cause, removed=True)
    except UNREACHABLE:
        return meaning  # it died, and so did the engine
    return None if running else meaning


def _answers() -> bool:
    try:
        with engine() as client:
            return bool(client.ping())
    except UNREACHABLE:
        return False
