"""Entries of an allow-list, and whether one of them names a destination. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from events.faults import Fault, FaultClass

USUAL_PORTS = frozenset({80, 443})
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class BadRule(Fault):
    """An entry of an allow-list that names no destination."""

    fault_class = FaultClass.CONFIGURATION
    code = "egress.bad_rule"
    http_status = 400
    remedy = "Write `host`, `host:port` or `*.domain.tld`, in ASCII (punycode for other scripts)."


@dataclass(frozen=True, slots=True)
class Rule:
    """One destination: ``host`` is a name, an IPv4 address or ``*.suffix``; ``port`` None means 80 and 443."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def names(self, host: str, port: int) -> bool:
        """Whether it names this destination. ``host`` as :func:`host_of` gives it. A suffix never names itself."""
        if port not in (USUAL_PORTS if self.port is None else {self.port}):
            return False
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


def parse(text: str) -> Rule:
    """The rule that a text is. Raises :class:`BadRule`."""
    name, colon, port_text = text.strip().lower().partition(":")
    if colon and not (_PORT.fullmatch(port_text) and int(port_text) <= 65535):
        raise BadRule(f"{text[:100]!r} names no port.")
    port = int(port_text) if colon else None
    if name.startswith("*."):
        suffix = host_of(name[2:])
        if suffix is None or "." not in suffix or is_literal(suffix):
            raise BadRule(f"{text[:100]!r} is too wide or no domain.")
        return Rule(f"*.{suffix}", port)
    host = host_of(name)
    if host is None:
        raise BadRule(f"{text[:100]!r} is no host.")
    return Rule(host, port)


def allows(rules: Iterable[Rule], *, host: str, port: int) -> bool:
    """Whether any rule names the destination."""
    return any(rule.names(host, port) for rule in rules)


def host_of(text: str) -> str | None:
    """The one spelling of a host name or IPv4 address; None for what is neither.

    Octal, hexadecimal and shortened addresses are neither, though resolvers take them: a last label of digits must be
    that of a plain dotted address.
    """
    name = text.lower().removesuffix(".")
    if not 0 < len(name) <= 253 or not _NAME.fullmatch(name):
        return None
    last = name.rpartition(".")[2]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        return name if is_literal(name) else None
    return name


def is_literal(host: str) -> bool:
    """Whether it is an address, not a name."""
    try:
        return str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False
