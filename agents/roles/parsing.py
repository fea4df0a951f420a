"""Whether a file can still be read by its language. An edit that breaks one which could be is taken back at once."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from agents.engines.protocol import EditRefused

MAX_BYTES = 400_000
_BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)  # ValueError: TOML, JSON, and bytes that are no text


def _python(content: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in somebody else's strings
        return ast.parse(content)


_PARSERS: dict[str, Callable[[bytes], Any]] = {
    ".py": _python,
    ".json": json.loads,
    ".toml": lambda content: tomllib.loads(content.decode()),
}


def check(path: str, *, before: bytes | None, after: bytes | None) -> None:
    """Raises :class:`EditRefused` where ``after`` cannot be parsed and ``before`` could, or is new.

    A file that was broken before, or is written in a newer language than ours, stays free to be edited.
    """
    parse = _PARSERS.get(PurePosixPath(path).suffix)
    if parse is None or after is None or max(len(before or b""), len(after)) > MAX_BYTES:
        return
    if before is not None and _trouble(parse, before):
        return
    if trouble := _trouble(parse, after):
        raise EditRefused(
            f"{path} could not be parsed after this edit: {trouble}",
            remedy="The file is as it was before. Mend the edit and make it whole in one call.", path=path,
        )  # fmt: skip


def _trouble(parse: Callable[[bytes], Any], content: bytes) -> str:
    """Why the content cannot be parsed; empty when it can."""
    try:
        parse(content)
    except _BROKEN as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        return where[:300] or type(error).__name__
    return ""
