"""The head of a proxy request: from hostile bytes to one destination, or a refusal. Pure.

Read strictly and written anew: what goes on to a server is made of parsed parts, so that no second reading of the same
bytes can find another request in them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from resources.egress.rules import host_of

HEAD_BYTES = 16_384
_HEADERS = 100
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]{1,8192}) HTTP/1\.([01])")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_PORT = re.compile(r"[0-9]{1,5}")
# For this hop alone (RFC 9110, 7.6.1), or about us.
_OURS = frozenset({
    b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect", b"host",
    b"proxy-authorization", b"proxy-authenticate", b"transfer-encoding", b"content-length", b"http2-settings",
})  # fmt: skip


class Malformed(Exception):
    """Not a request that we take; ``status`` is the answer, the text is ours and holds nothing of theirs."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """Where to, and what to say there: ``onward`` is empty for CONNECT, else the new head for ``body_bytes``."""

    host: str
    port: int
    tunnel: bool
    onward: bytes = b""
    body_bytes: int = 0


def parse(head: bytes) -> Request:
    """The request of a head that ends with an empty line. Raises :class:`Malformed`."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(lines[0])
    if not found:
        raise Malformed("the request line is malformed")
    method, target = found[1], found[2].decode("ascii")
    headers = _headers(lines[1:])
    if method == b"CONNECT":
        if any(name in (b"content-length", b"transfer-encoding") for name, _ in headers):
            raise Malformed("CONNECT has no body")
        host, port = _authority(target, default=None)
        return Request(host, port, tunnel=True)
    return _plain(method, target, headers)


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    if len(lines) > _HEADERS:
        raise Malformed("too many headers", status=431)
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Malformed("a header is malformed")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _plain(method: bytes, target: str, headers: list[tuple[bytes, bytes]]) -> Request:
    try:
        url = urlsplit(target)
    except ValueError:
        raise Malformed("the target is no URL") from None
    if url.scheme != "http" or not target.lower().startswith("http://") or "#" in target or "\\" in target:
        raise Malformed("only CONNECT and http:// URLs are taken here")
    host, port = _authority(url.netloc, default=80)
    named = [value for name, value in headers if name == b"host"]
    if len(named) > 1 or (named and _authority(named[0].decode("latin-1"), default=80) != (host, port)):
        raise Malformed("the Host header names another host")
    body_bytes = _body_bytes(headers)
    dropped = _OURS | {
        word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")
    }
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    authority = host if port == 80 else f"{host}:{port}"
    out = [f"{method.decode()} {path} HTTP/1.1".encode(), f"host: {authority}".encode()]
    out += [name + b": " + value for name, value in headers if name not in dropped]
    if body_bytes or method in (b"POST", b"PUT", b"PATCH"):
        out.append(b"content-length: %d" % body_bytes)
    # One request per connection: nothing can be smuggled behind it.
    out.append(b"connection: close")
    return Request(host, port, tunnel=False, onward=b"\r\n".join(out) + b"\r\n\r\n", body_bytes=body_bytes)


def _body_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    if any(name == b"transfer-encoding" for name, _ in headers):
        raise Malformed("a body needs a Content-Length here", status=411)
    lengths = [value for name, value in headers if name == b"content-length"]
    if not lengths:
        return 0
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise Malformed("the Content-Length is malformed")
    return int(lengths[0])


def _authority(text: str, *, default: int | None) -> tuple[str, int]:
    """Host and port; userinfo, empty ports and odd spellings are malformed."""
    name, bracket, rest = text.partition("]")
    if bracket and name.startswith("["):
        port_text = rest
        try:
            host: str | None = str(ipaddress.IPv6Address(name[1:])) if "%" not in name else None
        except ValueError:
            host = None
    else:
        name, colon, port_text = text.partition(":")
        port_text, host = colon + port_text, host_of(name)
    if host is None:
        raise Malformed("the target names no host")
    if not port_text and default is not None:
        return host, default
    if not port_text.startswith(":") or not _PORT.fullmatch(port_text[1:]) or not 0 < int(port_text[1:]) <= 65535:
        raise Malformed("the target names no port")
    return host, int(port_text[1:])
