"""One call of a command: its arguments, the server, how its answer is printed; and argparse for that."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli import terminal
from cli.client import Api
from cli.failures import OK, Misused

LARGEST_INPUT = 16_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler is given. It returns the exit code."""

    given: argparse.Namespace
    api: Api

    @property
    def as_json(self) -> bool:
        return bool(self.given.json)

    @property
    def width(self) -> int:
        return terminal.columns(sys.stdout)

    def answer(self, document: Any, lines: Iterable[str] = ()) -> int:
        """Print the document with ``--json``, else the lines."""
        terminal.say([terminal.as_json(document)] if self.as_json else lines)
        return OK

    def table(
        self, entries: list[dict[str, Any]], columns: Sequence[tuple[str, Callable[[dict[str, Any]], Any]]]
    ) -> int:
        """Print a list: one row per entry, or the entries with ``--json``."""
        rows = ([of(entry) for _, of in columns] for entry in entries)
        return self.answer(entries, terminal.table([name for name, _ in columns], rows, width=self.width))

    def facts(self, document: dict[str, Any], *, but: Sequence[str] = ()) -> int:
        """Print every field of one document."""
        pairs = ((name, _flat(value)) for name, value in document.items() if name not in but)
        return self.answer(document, terminal.facts(pairs, width=self.width))

    def short(self, identity: object) -> str:
        """An id as far as people need it; in full where a program reads."""
        text = str(identity or "")
        return text[:8] if sys.stdout.isatty() else text


Handler = Callable[[Call], int]


def leaf(
    group: Any, name: str, handler: Handler, summary: str, *arguments: str, limit: bool = False
) -> argparse.ArgumentParser:
    """A command: its handler, a positional per name in ``arguments``, ``--json``, ``--limit`` for a list."""
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=summary)
    parser.set_defaults(handler=handler)
    for argument in arguments:
        parser.add_argument(argument, help=f"id, the beginning of one, or name of the {argument}")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    if limit:
        parser.add_argument("--limit", type=positive, default=50, metavar="N", help="at most N entries (50)")
    return parser


def branch(group: Any, name: str, summary: str) -> Any:
    """A noun with verbs below it."""
    parser = group.add_parser(name, help=summary, description=summary)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def positive(text: str) -> int:
    """A whole number above zero, for argparse."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def metadata(text: str) -> dict[str, Any]:
    """A JSON object, or ``@FILE`` that holds one, for argparse."""
    try:
        source = read_file(text[1:]) if text.startswith("@") else text
        document = json.loads(source, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    except Misused as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not isinstance(document, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def read_file(path: str) -> str:
    """A text file in UTF-8, or stdin for ``-``."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(LARGEST_INPUT + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(LARGEST_INPUT + 1)
        if len(data) > LARGEST_INPUT:
            raise Misused(f"{path} is larger than {LARGEST_INPUT} bytes.")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise Misused(f"{path} cannot be read as a text in UTF-8: {error}.") from error


def ago(moment: Any) -> str:
    """``12 s``, ``3 min``, ``5 h`` or ``2 d`` since a moment."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) and value else value
