"""Which repository addresses we talk to: https, ssh, and local paths beneath configured roots; nothing else.

The checks do not trust git's parsing: an address is taken apart here, and put together from its parts.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from operations.coding.git_faults import RepositoryRefused, Unreachable

Resolve = Callable[[str], Sequence[str]]

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SCP_LIKE = re.compile(r"(?:(?P<user>[^@/:]*)@)?(?P<host>\[[^\]]*\]|[^@/:\[\]]+):(?P<path>.*)")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_UNWANTED = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2000-\u206f\ufeff]")
_DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22}


class Kind(StrEnum):
    """How a remote is reached; the value is git's name of the protocol."""

    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"
    LOCAL = "file"


@dataclass(frozen=True, slots=True)
class Remote:
    """A checked address. ``url`` is ours, put together from checked parts, and holds no secret."""

    url: str
    kind: Kind
    host: str = ""  # lower case, no brackets; empty for local ones
    port: int = 0
    trusted: bool = False  # the operator listed the host: its addresses are not questioned
    path: Path | None = None  # local ones: resolved, beneath a root

    @property
    def slug(self) -> str:
        """``owner/name`` as a forge calls it: the last two parts of the path, without ``.git``."""
        path = (
            self.url.rpartition(":")[2] if self.kind is Kind.SSH and "://" not in self.url else urlsplit(self.url).path
        )
        parts = [part for part in unquote(path).split("/") if part]
        return "/".join(parts[-2:]).removesuffix(".git")


def resolve_host(host: str) -> Sequence[str]:
    """The addresses of a host name; empty when there are none right now."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return ()


def check_url(
    url: str,
    *,
    local_roots: Iterable[Path] = (),
    allowed_hosts: Iterable[str] = (),
    resolve: Resolve = resolve_host,
) -> Remote:
    """The remote that ``url`` names, or ``repository.refused`` with the reason.

    ``allowed_hosts`` (``host`` or ``host:port``) may resolve to private addresses; http is spoken with those
    of them that are loopback, and with nobody else. A name that does not resolve now is asked again in
    :func:`admit`.
    """
    if not url or len(url) > 2000:
        raise _refused("it is empty or too long")
    if _UNWANTED.search(url):
        raise _refused("it holds blanks, control characters, backslashes or invisible characters")
    if url.startswith("-"):
        raise _refused("it looks like an option")
    if re.match(r"[A-Za-z0-9+.-]*::", url):
        raise _refused("remote helpers (name::address) run programs of their own")
    if url.startswith("/"):
        return _local(url, local_roots)
    if "://" in url:
        return _from_url(url, local_roots, allowed_hosts, resolve)
    if match := _SCP_LIKE.fullmatch(url):
        return _scp_like(match, allowed_hosts, resolve)
    raise _refused("it is neither an https or ssh address nor an absolute path")


def admit(remote: Remote, *, resolve: Resolve = resolve_host) -> tuple[str, ...]:
    """Check again right before talking to it, names and links may have moved; returns its addresses."""
    if remote.kind is Kind.LOCAL:
        if remote.path is None or remote.path.resolve() != remote.path or not remote.path.is_dir():
            raise _refused("the directory is not there any more, or became a link")
        return ()
    addresses = tuple(resolve(remote.host))
    if not addresses:
        raise Unreachable(f"The host {remote.host} has no address right now")
    if not remote.trusted:
        _refuse_inner(remote.host, addresses)
    return addresses


def _refused(why: str) -> RepositoryRefused:
    # The address itself stays out of the text: what is refused may hold a password.
    return RepositoryRefused(f"The repository address is refused: {why}.", pointer="/repository_url", why=why)


def _local(path: str, roots: Iterable[Path]) -> Remote:
    resolved = Path(path).resolve()
    for root in (root.resolve() for root in roots):
        if resolved.is_relative_to(root):
            if not resolved.is_dir():
                raise _refused("there is no such directory")
            return Remote(url=resolved.as_uri(), kind=Kind.LOCAL, path=resolved)
    raise _refused("local repositories must lie beneath one of MOORAGE_REPOSITORY_ROOTS")


def _from_url(url: str, roots: Iterable[Path], allowed: Iterable[str], resolve: Resolve) -> Remote:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused("it cannot be read as an address") from error
    scheme = parts.scheme.lower()
    if scheme not in set(Kind):
        raise _refused("only https, ssh and local paths are spoken")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise _refused("it has a query or a fragment")
    if scheme == Kind.LOCAL:
        if parts.netloc not in {"", "localhost"}:
            raise _refused("file addresses of other hosts are not spoken")
        path = unquote(parts.path)
        if not path.startswith("/") or _UNWANTED.search(path.replace(" ", "")):
            raise _refused("its path is not absolute, or holds control characters")
        return _local(path, roots)
    kind = Kind(scheme)
    user = _user(parts, kind)
    host, trusted = _host(parts.hostname or "", port, kind, allowed, resolve)
    path = _plain_path(parts.path)
    shown = f"[{host}]" if ":" in host else host
    authority = (f"{user}@" if user else "") + shown + (f":{port}" if port else "")
    clean = f"{kind.value}://{authority}{quote(unquote(path), safe='/~@:+,=-._')}"
    return Remote(clean, kind, host, port or _DEFAULT_PORTS[kind.value], trusted)


def _scp_like(match: re.Match[str], allowed: Iterable[str], resolve: Resolve) -> Remote:
    user = match["user"]
    if user is not None and not _USER.fullmatch(user):
        raise _refused("its user name is not one, or holds a password")
    host, trusted = _host(match["host"].strip("[]").lower(), None, Kind.SSH, allowed, resolve)
    path = _plain_path("/" + match["path"])[1:]
    if not path or "@" in path:
        raise _refused("it names no repository, or a user with a password")
    shown = f"[{host}]" if ":" in host else host
    clean = (f"{user}@" if user else "") + f"{shown}:{path}"
    return Remote(clean, Kind.SSH, host, 22, trusted)


def _user(parts: SplitResult, kind: Kind) -> str:
    if "@" not in parts.netloc:
        return ""
    if kind is not Kind.SSH:
        raise _refused("it carries credentials; they belong into MOORAGE_GIT_TOKEN")
    if parts.password is not None or not _USER.fullmatch(parts.username or ""):
        raise _refused("its user name is not one, or holds a password")
    return str(parts.username)


def _plain_path(path: str) -> str:
    plain = unquote(path)
    if plain.strip("/") == "":
        raise _refused("it names no repository")
    if _UNWANTED.search(plain.replace(" ", "")) or "%" in plain:
        raise _refused("its path holds control or escaped characters")
    if any(part == ".." or part.startswith("-") for part in plain.split("/")):
        raise _refused("its path climbs, or looks like an option")
    return path


def _host(name: str, port: int | None, kind: Kind, allowed: Iterable[str], resolve: Resolve) -> tuple[str, bool]:
    host = name.lower().removesuffix(".")
    if not host.isascii():
        raise _refused("its host name is not plain ASCII and may look like another")
    trusted = _listed(host, port or _DEFAULT_PORTS[kind.value], allowed)
    literal = _address(host)
    if literal is None and not _HOST_NAME.fullmatch(host):
        raise _refused("its host name is not one")
    if "xn--" in host and not trusted:
        raise _refused("its host name is not plain ASCII and may look like another")
    addresses = [host] if literal is not None else list(resolve(host))
    if kind is Kind.HTTP:
        loopback = bool(addresses) and all(ipaddress.ip_address(_bare(a)).is_loopback for a in addresses)
        if not (trusted and loopback):
            raise _refused("http sends everything in the clear; use https")
    if not trusted:
        _refuse_inner(host, addresses)
    return host, trusted


def _listed(host: str, port: int, allowed: Iterable[str]) -> bool:
    return any(entry.lower().strip() in {host, f"{host}:{port}", f"[{host}]:{port}"} for entry in allowed)


def _refuse_inner(host: str, addresses: Iterable[str]) -> None:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise _refused("its host is inside our own network; the operator may list it in MOORAGE_REPOSITORY_HOSTS")
    for text in addresses:
        if not _is_outside(ipaddress.ip_address(_bare(text))):
            raise _refused("its host is inside our own network; the operator may list it in MOORAGE_REPOSITORY_HOSTS")


def _is_outside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether this is an address of the public internet, also where IPv6 carries an IPv4 one."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if carried is None and address in ipaddress.ip_network("64:ff9b::/96"):
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return _is_outside(carried)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_bare(host))
    except ValueError:
        return None


def _bare(address: str) -> str:
    return address.partition("%")[0]  # without a zone: fe80::1%eth0
