"""Where the server is and who asks: from the environment, else from the file that ``moorage login`` wrote."""

from __future__ import annotations

import ipaddress
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cli.failures import Misused

LOGIN_HINT = "Run `moorage login`, or set MOORAGE_URL and MOORAGE_TOKEN."


@dataclass(frozen=True, slots=True)
class Access:
    """A server's URL (no slash at its end) and a bearer token, which no ``repr`` shows."""

    url: str
    token: str = field(repr=False)

    @property
    def on_this_machine(self) -> bool:
        """Whether the URL names a loopback address."""
        return _is_loopback(urlsplit(self.url).hostname or "")


def file_of(environment: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/moorage/config.json``, or the same beneath ``~/.config``."""
    base = environment.get("XDG_CONFIG_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".config") / "moorage" / "config.json"


def find(environment: Mapping[str, str]) -> Access:
    """The access to use; MOORAGE_URL and MOORAGE_TOKEN win. A stored token goes to its own server only."""
    url, token = environment.get("MOORAGE_URL", ""), environment.get("MOORAGE_TOKEN", "")
    if url and token:
        return Access(checked_url(url), checked_token(token))
    stored = _load(file_of(environment))
    if stored is None:
        missing = " and ".join(name for name, value in (("MOORAGE_URL", url), ("MOORAGE_TOKEN", token)) if not value)
        raise Misused(f"No server is known: {missing} not set, and nobody has logged in.", LOGIN_HINT)
    if url and checked_url(url) != stored.url:
        raise Misused(
            f"MOORAGE_URL is {checked_url(url)}, but the stored token belongs to {stored.url}.",
            "Set MOORAGE_TOKEN too, or log in there with `moorage login`.",
        )
    return Access(stored.url, checked_token(token)) if token else stored


def store(access: Access, environment: Mapping[str, str]) -> Path:
    """Write the file, readable by its owner only, all at once."""
    path = file_of(environment)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".config-")  # made with mode 600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"url": access.url, "token": access.token}, file, indent=2)
                file.write("\n")
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Misused(f"{path} cannot be written: {error.strerror}.") from error
    return path


def checked_url(text: str) -> str:
    """The URL without a slash at its end; no credentials, query or fragment in it."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misused(f"This is no URL: {error}.") from error
    readable = url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not readable:
        raise Misused("The server's URL looks like https://moorage.example:8000.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise Misused("The server's URL holds no user, password, query or fragment; the token is asked for apart.")
    return url


def checked_token(text: str) -> str:
    """The token, if it can stand in a header."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise Misused("The token is empty, or holds characters that no token has.")
    return token


def _load(path: Path) -> Access | None:
    try:
        with path.open(encoding="utf-8") as file:
            open_to_others = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
            if open_to_others:
                raise Misused(f"{path} can be read by others, and it holds a token.", f"Run `chmod 600 {path}`.")
            document = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise Misused(f"{path} cannot be read: {error}.", "Run `moorage login` again.") from error
    url, token = (document.get("url"), document.get("token")) if isinstance(document, dict) else (None, None)
    if not isinstance(url, str) or not isinstance(token, str):
        raise Misused(f"{path} does not hold a URL and a token.", "Run `moorage login` again.")
    return Access(checked_url(url), checked_token(token))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
