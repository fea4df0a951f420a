"""Heads of requests: what is read, what is written anew, and what is refused without being passed on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.egress import heads, hello


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def test_a_tunnel_is_to_a_host_and_a_port() -> None:
    request = heads.parse(head("CONNECT PyPI.org:443 HTTP/1.1", "Host: pypi.org:443"))
    assert (request.host, request.port, request.tunnel) == ("pypi.org", 443, True)


def test_a_plain_request_is_written_anew_with_our_own_host_and_without_what_is_for_us() -> None:
    request = heads.parse(
        head(
            "GET http://Example.org/a/b?c=d HTTP/1.1", "Host: example.org", "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: keep-alive, X-Hop", "X-Hop: 1", "Upgrade: websocket", "Expect: 100-continue", "Accept: */*",
        )
    )  # fmt: skip
    assert (request.host, request.port, request.tunnel, request.body_bytes) == ("example.org", 80, False, 0)
    assert request.onward == head("GET /a/b?c=d HTTP/1.1", "host: example.org", "accept: */*", "connection: close")


def test_a_body_is_exactly_as_long_as_it_says() -> None:
    request = heads.parse(head("POST http://example.org:8080 HTTP/1.1", "Content-Length: 5"))
    assert request.body_bytes == 5
    assert request.onward.startswith(b"POST / HTTP/1.1\r\nhost: example.org:8080\r\ncontent-length: 5\r\n")


def test_an_ipv6_literal_is_read_in_its_one_spelling() -> None:
    assert heads.parse(head("CONNECT [0:0:0:0:0:0:0:1]:443 HTTP/1.1")).host == "::1"


BAD_TARGETS = [
    "CONNECT example.org HTTP/1.1", "CONNECT example.org: HTTP/1.1", "CONNECT example.org:0 HTTP/1.1",
    "CONNECT example.org:99999 HTTP/1.1", "CONNECT example.org:+443 HTTP/1.1", "CONNECT a@example.org:443 HTTP/1.1",
    "CONNECT http://example.org:443 HTTP/1.1", "CONNECT [::1%25lo]:443 HTTP/1.1", "CONNECT [::1:443 HTTP/1.1",
    "CONNECT 0x7f.1:443 HTTP/1.1", "CONNECT 127.1:443 HTTP/1.1", "CONNECT 2130706433:443 HTTP/1.1",
    "GET / HTTP/1.1", "GET https://example.org/ HTTP/1.1", "GET ftp://example.org/ HTTP/1.1",
    "GET file:///etc/passwd HTTP/1.1",
    "GET http:///x HTTP/1.1", "GET http:example.org HTTP/1.1", "GET http://user:pw@example.org/ HTTP/1.1",
    "GET http://example.org/#f HTTP/1.1", "GET http://example.org\\@evil/ HTTP/1.1", "GET http://[bad/ HTTP/1.1",
    "GET http://ex ample.org/ HTTP/1.1", "GET  http://example.org/ HTTP/1.1", "GET http://example.org/ HTTP/2.0",
    "GET http://example.org/", "", " GET http://example.org/ HTTP/1.1", "GET\thttp://example.org/ HTTP/1.1",
    "GET http://example.org/\x00 HTTP/1.1", "GET http://ex\xe4mple.org/ HTTP/1.1", "\x16\x03\x01\x02\x00\x01\x00",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD_TARGETS)
def test_a_request_line_that_names_no_clear_destination_is_refused(line: str) -> None:
    with pytest.raises(heads.Malformed):
        heads.parse(head(line))


BAD_HEADERS = [
    ("Content-Length: 5", "Content-Length: 5"), ("Content-Length: 5", "Content-Length: 6"), ("Content-Length: +5",),
    ("Content-Length: 5, 5",), ("Content-Length: 0x5",), ("Content-Length:",), ("Content-Length: -1",),
    ("Content-Length: 9999999999999999",), ("Transfer-Encoding: chunked",),
    ("Content-Length: 5", "Transfer-Encoding: chunked"), ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding : chunked",), (" folded: yes",), ("A: b", " folded"), ("\tA: b",), ("No colon",), (": empty",),
    ("A b: c",), ("A: b\nTransfer-Encoding: chunked",), ("A: b\rC: d",), ("A: \x00",), ("Höst: x",),
    ("Host: evil.example",), ("Host: example.org", "Host: example.org"), ("Host: example.org:81",), ("Host:",),
    ("Host: example.org@evil.example",),
]  # fmt: skip


@pytest.mark.parametrize("lines", BAD_HEADERS)
def test_headers_that_two_readers_could_read_differently_are_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(heads.Malformed):
        heads.parse(head("POST http://example.org/ HTTP/1.1", *lines))


def test_a_tunnel_with_a_body_is_refused() -> None:
    for line in ("Content-Length: 1", "Transfer-Encoding: chunked"):
        with pytest.raises(heads.Malformed):
            heads.parse(head("CONNECT example.org:443 HTTP/1.1", line))


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(heads.Malformed) as refused:
        heads.parse(head("GET http://example.org/ HTTP/1.1", *(f"A{n}: b" for n in range(101))))
    assert refused.value.status == 431


@given(st.binary(max_size=400))
def test_whatever_the_bytes_the_answer_is_a_request_or_a_refusal(noise: bytes) -> None:
    for content in (noise, b"GET http://a.example/ HTTP/1.1\r\n" + noise, b"CONNECT " + noise + b" HTTP/1.1"):
        try:
            request = heads.parse(content + b"\r\n\r\n")
        except heads.Malformed:
            continue
        # One head goes on, and it ends where we end it.
        assert request.onward.count(b"\r\n\r\n") == (0 if request.tunnel else 1)
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", request.onward)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_a_handshake_is_read_or_refused(noise: bytes) -> None:
    for content in (noise, b"\x16\x03\x01" + noise, b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" + noise):
        try:
            hello.record_bytes(content)
            hello.server_name(content)
        except hello.NotTls:
            continue
