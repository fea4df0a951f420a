"""One berth's proxy: where it goes, what it passes on, and where it stops. Servers on loopback, names of our own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ClassVar

import pytest

from resources.egress.proxy import Caps, Streams

from .conftest import HASTY, LOOPBACK, Listed, Names, Opened, Web

OURS = frozenset({"ok.example", "other.example"})


def get(host: str, port: int, *, path: str = "/") -> bytes:
    return f"GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()


def connect(host: str, port: int) -> bytes:
    return f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()


async def test_a_listed_host_is_reached_and_the_rest_is_not(opened: Opened, web: Web) -> None:
    guard = Listed(f"ok.example:{web.port}")
    _, ask = await opened(guard, resolve=Names(ok_example=[LOOPBACK], other_example=[LOOPBACK]), private_hosts=OURS)
    assert (await ask(get("ok.example", web.port, path="/a?b"))).endswith(b"hello")
    assert web.heads[0].startswith(b"GET /a?b HTTP/1.1\r\nhost: ok.example:")
    answer = await ask(get("other.example", web.port))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"[not_allowed]" in answer
    assert (web.connections, guard.refused) == (1, [("other.example", web.port, "not_allowed")])


async def test_a_refused_name_is_not_even_looked_up(opened: Opened) -> None:
    names = Names(secret_data_attacker_example=[LOOPBACK])
    _, ask = await opened(Listed("ok.example"), resolve=names)
    await ask(connect("secret.data.attacker.example", 443))
    assert names.asked == []


async def test_a_tunnel_to_a_named_port_carries_bytes_both_ways(opened: Opened, web: Web) -> None:
    _, ask = await opened(Listed(f"ok.example:{web.port}"), resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS)
    answer = await ask(connect("ok.example", web.port) + b"anything")
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n" + web.answer
    assert web.heads == [b"anything"]


async def test_a_listed_host_with_a_private_address_needs_the_operator(opened: Opened, web: Web) -> None:
    guard = Listed(f"ok.example:{web.port}")
    _, ask = await opened(guard, resolve=Names(ok_example=[LOOPBACK]))
    assert b"MOORAGE_EGRESS_PRIVATE_HOSTS" in await ask(get("ok.example", web.port))
    assert (web.connections, guard.refused) == (0, [("ok.example", web.port, "address.private")])


async def test_a_service_of_ours_is_reached_by_its_name_only_where_that_is_listed(opened: Opened, web: Web) -> None:
    names = Names()
    ours = {"gateway.moorage": (LOOPBACK, web.port)}
    _, ask = await opened(Listed("gateway.moorage"), resolve=names, ours=ours)
    request = b"POST http://gateway.moorage/v1/x HTTP/1.1\r\nX-Api-Key: mrt_1\r\nContent-Length: 2\r\n\r\n{}"
    assert (await ask(request)).endswith(b"hello")
    assert b"x-api-key: mrt_1" in web.heads[0]
    assert (await ask(connect("gateway.moorage", 80) + b"anything")).endswith(web.answer)
    _, ask = await opened(Listed("ok.example"), resolve=names, ours=ours)
    assert b"[not_allowed]" in await ask(request)
    assert b"[not_allowed]" in await ask(connect("gateway.moorage", 80))
    assert (web.connections, names.asked) == (2, [])


async def test_a_service_of_ours_may_think_for_longer_than_others_may_be_silent(opened: Opened, web: Web) -> None:
    hasty = Caps(idle_s=0.2, life_s=60.0)
    thinking = asyncio.Event()

    async def think(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await thinking.wait()
        await web.handle(reader, writer)

    server = await asyncio.start_server(think, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    where = {"ours": {"ok.example": (LOOPBACK, port)}, "resolve": Names(other_example=[LOOPBACK])}
    _, ask = await opened(
        Listed("ok.example", f"other.example:{port}"), caps=hasty, private_hosts=frozenset({"other.example"}), **where
    )
    patient = asyncio.create_task(ask(get("ok.example", 80)))
    assert await ask(get("other.example", port)) == b""  # given up meanwhile
    thinking.set()
    assert (await patient).endswith(b"hello")
    server.close()


async def test_a_name_that_rebinds_between_look_ups_is_connected_to_what_was_looked_at(
    opened: Opened, web: Web
) -> None:
    """The first answer is public, every later one is loopback: only the pinned one may be used."""
    turns = iter([["192.0.2.1"], [LOOPBACK], [LOOPBACK]])
    went: list[list[str]] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        return next(turns)

    async def note(found: list[str], port: int) -> Streams:
        went.append(found)
        raise OSError("nobody there")

    guard = Listed(f"rebind.example:{web.port}")
    # 192.0.2.1 stands for a public one here: it is of the ranges for documentation, and nothing is sent there.
    _, ask = await opened(guard, resolve=rebinding, connect=note, private_hosts=frozenset({"rebind.example"}))
    assert (await ask(get("rebind.example", web.port))).startswith(b"HTTP/1.1 502 ")
    assert went == [["192.0.2.1"]]
    _, strict = await opened(guard, resolve=rebinding, connect=note)
    assert b"[address.private]" in await strict(get("rebind.example", web.port))
    assert (len(went), web.connections) == (1, 0)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "ff02::1", "64:ff9b::7f00:1"])
async def test_the_metadata_service_and_its_like_are_refused_even_for_listed_hosts(
    opened: Opened, address: str
) -> None:
    guard = Listed("ok.example")
    _, ask = await opened(guard, resolve=Names(ok_example=[address]), private_hosts=OURS)
    assert (await ask(get("ok.example", 80))).startswith(b"HTTP/1.1 403 ")
    assert guard.refused[0][2].startswith("address.")


async def test_literals_are_hosts_that_nobody_listed(opened: Opened, web: Web) -> None:
    guard = Listed("*.example.org")
    _, ask = await opened(guard, resolve=Names())
    for host in (LOOPBACK, "[::1]", "[::ffff:7f00:1]", "169.254.169.254"):
        assert b"403" in (await ask(connect(host, web.port)))[:16]
    assert web.connections == 0


async def test_a_second_request_on_the_connection_goes_nowhere(opened: Opened, web: Web) -> None:
    _, ask = await opened(Listed(f"ok.example:{web.port}"), resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS)
    smuggled = b"GET http://other.example/ HTTP/1.1\r\n\r\n"
    await ask(get("ok.example", web.port) + smuggled)
    body = b"POST http://ok.example:%d/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody" % web.port
    await ask(body + smuggled)
    assert all(b"other.example" not in head for head in web.heads)
    assert web.heads[1].endswith(b"\r\n\r\nbody") or web.heads[1].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 100 + b"\r\n\r\n", b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"\xff\xfe\r\n\r\n"]
)
async def test_garbage_is_answered_and_reaches_nobody(opened: Opened, garbage: bytes) -> None:
    guard = Listed("ok.example")
    names = Names(ok_example=[LOOPBACK])
    _, ask = await opened(guard, resolve=names)
    assert (await ask(garbage)).startswith(b"HTTP/1.1 400 ")
    assert (guard.refused, names.asked) == ([("", 0, "request.malformed")], [])


async def test_an_endless_head_and_a_slow_one_are_cut_off(opened: Opened) -> None:
    _, ask = await opened(Listed(), resolve=Names(), caps=HASTY)
    assert (await ask(b"GET http://a.example/ HTTP/1.1\r\nA: " + b"a" * 40_000)).startswith(b"HTTP/1.1 431 ")
    assert (await ask(b"GET http://a.example/ HTTP/1.1\r\n")).startswith(b"HTTP/1.1 408 ")


async def test_silence_ends_a_tunnel(opened: Opened) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    _, ask = await opened(
        Listed(f"ok.example:{port}"), resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS, caps=HASTY
    )
    assert (await ask(connect("ok.example", port))).startswith(b"HTTP/1.1 200 ")
    server.close()


async def test_bytes_are_bounded_per_connection_and_per_berth(opened: Opened, web: Web) -> None:
    web.answer = b"x" * 120_000
    guard = Listed(f"ok.example:{web.port}")
    _, ask = await opened(guard, resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS, caps=HASTY)
    assert len(await ask(get("ok.example", web.port))) <= HASTY.connection_bytes
    web.answer = b"x" * 90_000
    assert len(await ask(get("ok.example", web.port))) <= HASTY.berth_bytes
    assert [reason for _, _, reason in guard.refused] == ["caps.connection_bytes", "caps.berth_bytes"]


async def test_connections_are_bounded(opened: Opened) -> None:
    guard = Listed()
    _, ask = await opened(guard, resolve=Names(), caps=Caps(head_s=1.0, connections=3))
    slow = [asyncio.create_task(ask(b"GET ")) for _ in range(3)]
    await asyncio.sleep(0.3)
    with suppress(ConnectionResetError):  # it is closed at once, read or unread
        assert (await ask(b"GET ")).startswith(b"HTTP/1.1 503 ")
    assert guard.refused == [("", 0, "caps.connections")]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in await asyncio.gather(*slow))


async def test_a_withdrawn_destination_ends_the_tunnels_to_it(opened: Opened) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(100):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    guard = Listed(f"ok.example:{port}")
    proxy, ask = await opened(guard, resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS)
    talk = asyncio.create_task(ask(connect("ok.example", port) + b"ping"))
    await asyncio.sleep(0.3)
    await proxy.recheck()
    await asyncio.sleep(0.1)
    assert not talk.done()
    guard.rules = []
    await proxy.recheck()
    assert (await talk).endswith(b"ping")
    server.close()


async def test_who_is_refused_is_told_so_though_the_grants_are_looked_at_meanwhile(opened: Opened) -> None:
    class Slow(Listed):
        """Asked, it takes so long that the open connections are looked at again before it answers."""

        meanwhile: ClassVar[list[Callable[[], Awaitable[None]]]] = []

        async def allows(self, host: str, port: int) -> bool:
            answer, meanwhile = await super().allows(host, port), self.meanwhile.pop() if self.meanwhile else None
            if meanwhile is not None:
                await meanwhile()
                await asyncio.sleep(0)
            return answer

    guard = Slow("ok.example")
    proxy, ask = await opened(guard, resolve=Names())
    guard.meanwhile.append(proxy.recheck)
    assert b"[not_allowed]" in await ask(get("other.example", 80))
    assert guard.refused == [("other.example", 80, "not_allowed")]
    assert guard.meanwhile == []


def client_hello(name: str | None) -> bytes:
    """What a real TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (client_hello("ok.example"), ""),
        (client_hello("OK.example"), ""),
        (client_hello("other.example"), "tunnel.other_server"),
        (client_hello(None), "tunnel.other_server"),
        (b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", "tunnel.not_tls"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "tunnel.not_tls"),
        (b"\x16\x03\x01\x00\x00" + b"\x01" * 20, "tunnel.not_tls"),
        (b"\x16\x03\x01\x00\x05\x01\x00\xff\xff\x03", "tunnel.not_tls"),
        (client_hello("ok.example")[:40].replace(client_hello("ok.example")[3:5], b"\x00\x23", 1), "tunnel.not_tls"),
    ],
    # A hello holds random bytes: as names they would differ between the processes that share the tests out.
    ids=["ours", "upper-case", "another", "no-name", "http", "ssh", "empty", "lying-length", "cut-off"],
)
async def test_through_port_443_goes_only_tls_for_the_host_that_was_asked_for(
    opened: Opened, web: Web, said: bytes, reason: str
) -> None:
    async def to_our_port(found: list[str], port: int) -> Streams:
        return await asyncio.open_connection(found[0], web.port)

    guard = Listed("ok.example")
    _, ask = await opened(
        guard, resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS, connect=to_our_port, caps=HASTY
    )
    await ask(connect("ok.example", 443) + said)
    assert [why for _, _, why in guard.refused] == ([reason] if reason else [])
    assert web.heads == ([said] if not reason else [b""] * len(web.heads))


async def test_a_tunnel_to_port_80_is_refused(opened: Opened) -> None:
    guard = Listed("ok.example")
    _, ask = await opened(guard, resolve=Names(ok_example=[LOOPBACK]), private_hosts=OURS)
    assert b"[tunnel.plain_http]" in await ask(connect("ok.example", 80))
