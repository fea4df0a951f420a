"""``moorage login``: keep a server's URL and a token. The token is never an argument."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping

from cli import access, terminal
from cli.access import Access
from cli.client import Api
from cli.failures import OK, Misused


def login(given: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Ask, try the token, and store both; nothing is stored that does not work."""
    url = access.checked_url(given.url or environment.get("MOORAGE_URL") or _ask("URL of Moorage: "))
    asked = Access(url, access.checked_token(_ask_secretly("Token (not shown): ")))
    if url.startswith("http:") and not asked.on_this_machine:
        terminal.complain([f"Warning: {url} is not encrypted; whoever listens on the way can take the token."])
    with Api(asked) as api:
        api.get("projects/", page_size=1)
    path = access.store(asked, environment)
    document = {"url": url, "stored": str(path)}
    terminal.say([terminal.as_json(document)] if given.json else [f"Logged in to {url}; stored in {path}."])
    return OK


def _ask(question: str) -> str:
    if sys.stdin.isatty():
        sys.stderr.write(question)
        sys.stderr.flush()
    line = sys.stdin.readline()
    if not line.strip():
        raise Misused("No URL was given.")
    return line


def _ask_secretly(question: str) -> str:
    """From the terminal without echo, or a line of stdin where there is no terminal to ask at."""
    try:
        return getpass.getpass(question) if sys.stdin.isatty() else sys.stdin.readline()
    except EOFError:
        raise Misused("No token was given.") from None
