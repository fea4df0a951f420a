"""The proxies of one host: a socket for every live berth of the ledger that may reach out, in one event loop.

The ledger says which; nothing is remembered here but what can be asked anew. So a kill costs the connections that
stood, and a start serves every berth again under the same path.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import resource
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections, transaction

from events.journal import record
from resources.egress import addresses, berths, rules
from resources.egress.denials import Denial, Denials
from resources.egress.heads import HEAD_BYTES
from resources.egress.proxy import BerthProxy, Caps
from resources.sandboxes.way_out import SOCKET

log = logging.getLogger(__name__)

POLL_S = 0.5
FRESH_S = 0.2  # before a refusal the ledger is asked again, unless it was within this time
_BACKLOG = 128
_RESOLVERS = 16


class _Served:
    """One berth: its proxy, its listening socket, and what it may reach. Also its proxy's guard."""

    def __init__(self, berth: berths.Berth, daemon: Daemon) -> None:
        self.berth = berth
        self._daemon = daemon
        self._denials = Denials()
        self.proxy = BerthProxy(
            self, resolve=daemon.resolve, private_hosts=daemon.private_hosts, ours=daemon.ours, caps=daemon.caps
        )
        self.server: asyncio.Server | None = None

    async def allows(self, host: str, port: int) -> bool:
        """By what is known; before a no, by what the ledger says now: a grant works at once."""
        if rules.allows(self.berth.rules, host=host, port=port):
            return True
        await self._daemon.refresh()
        return rules.allows(self.berth.rules, host=host, port=port)

    async def denied(self, host: str, port: int, reason: str) -> None:
        """Into the journal, if it is news."""
        if news := self._denials.note(host, port, reason, now=time.monotonic()):
            try:
                await sync_to_async(_record)(self.berth.owner, news, self._daemon.host_name)
            except DatabaseError as error:
                why = str(error)[:200]
                log.warning("a denial could not be recorded", extra={"owner": self.berth.owner, "why": why})

    async def open(self) -> None:
        self.server = await asyncio.start_unix_server(self.proxy.handle, sock=_listen(self.berth.key), limit=HEAD_BYTES)

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        await self.proxy.close()


class Daemon:
    """Keeps sockets and ledger in step until it is stopped."""

    def __init__(
        self,
        *,
        host_name: str,
        private_hosts: frozenset[str],
        ours: Mapping[str, tuple[str, int]] | None = None,
        resolve: addresses.Resolve = addresses.by_system,
        caps: Caps | None = None,
    ) -> None:
        self.host_name = host_name
        self.private_hosts = private_hosts
        self.ours = ours
        self.resolve = resolve
        self.caps = caps
        self._served: dict[str, _Served] = {}
        self._asked_at = 0.0
        self._asking = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``. A database that is away changes nothing until it is back."""
        _raise_descriptor_limit()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="egress"))
        try:
            while not stop.is_set():
                await self.refresh(fresh_s=0.0)
                for served in list(self._served.values()):
                    await served.proxy.recheck()
                try:
                    async with asyncio.timeout(POLL_S):
                        await stop.wait()
                except TimeoutError:
                    continue
        finally:
            await self.close()

    async def close(self) -> None:
        """End every proxy. Closing twice is fine."""
        while self._served:
            self._end(self._served.popitem()[1])
        await asyncio.gather(*self._closing)

    async def refresh(self, *, fresh_s: float = FRESH_S) -> None:
        """Ask the ledger, unless that was done just now; open and close sockets accordingly."""
        async with self._asking:
            if time.monotonic() - self._asked_at < fresh_s:
                return
            try:
                found = await sync_to_async(_ask)(self.host_name)
            except DatabaseError as error:
                log.warning("the ledger cannot be asked", extra={"why": str(error)[:200]})
                return
            finally:
                self._asked_at = time.monotonic()
            await self._follow({berth.key: berth for berth in found})

    async def _follow(self, found: dict[str, berths.Berth]) -> None:
        for key in self._served.keys() - found.keys():
            self._end(self._served.pop(key))
        for key, berth in found.items():
            if served := self._served.get(key):
                served.berth = berth
                continue
            served = _Served(berth, self)
            try:
                await served.open()
            except (OSError, ValueError) as error:
                log.warning("a berth has no proxy", extra={"owner": berth.owner, "why": str(error)[:200]})
                continue
            self._served[key] = served

    def _end(self, served: _Served) -> None:
        """In a task of its own: the one that asked the ledger may be a connection of this very berth."""
        closing = asyncio.create_task(served.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _raise_descriptor_limit() -> None:
    """As many as allowed: two for each connection of each berth."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def only_one(host_name: str) -> Iterator[bool]:
    """Whether this is the only daemon of this host over this data directory; held while the context lasts."""
    berths.root().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    berths.root().mkdir(mode=0o700, exist_ok=True)
    name = "lock." + re.sub(r"[^A-Za-z0-9_-]", "_", host_name)
    lock = os.open(berths.root() / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _ask(host_name: str) -> list[berths.Berth]:
    close_old_connections()
    found = berths.serving(host_name)
    _clear_released(host_name, {berth.key for berth in found})
    return found


def _clear_released(host_name: str, live: set[str]) -> None:
    """Directories whose berth the ledger says is over: left by a crash between release and removal."""
    strays = [name for name in os.listdir(berths.root()) if berths.KEY.fullmatch(name) and name not in live]
    for key in berths.released(host_name, strays) if strays else ():
        try:
            berths.clear(key)
        except OSError as error:  # one directory that resists is no reason to serve nobody
            log.warning("a released berth's directory stays", extra={"key": key, "why": error.strerror})


def _record(owner: str, denial: Denial, host_name: str) -> None:
    # Nested: an agent's events carry its own fields at the top, and `host` there is the machine it lives on.
    told = {"host": denial.host, "port": denial.port, "reason": denial.reason, "repeated": denial.repeated}
    with transaction.atomic():
        record(
            "agent.egress_denied", owner.replace(":", ".", 1), actor=f"worker:{host_name}",
            reason=f"{denial.host}:{denial.port} {denial.reason}" if denial.host else denial.reason, egress=told,
        )  # fmt: skip


def _listen(key: str) -> socket.socket:
    """A listening socket under the berth's fixed name, put there in one step over whatever a crash left."""
    directory = os.open(berths.make_directory(key), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    fresh = f"{SOCKET}.{secrets.token_hex(4)}"
    try:
        listening.bind(f"/proc/self/fd/{directory}/{fresh}")  # the path itself may be longer than a socket's may be
        os.chmod(fresh, 0o666, dir_fd=directory)  # noqa: S103 — the berth's uid is another; the way to it is 0700
        listening.listen(_BACKLOG)
        os.rename(fresh, SOCKET, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(directory)
    return listening
