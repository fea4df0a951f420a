"""JUnit XML, read as the hostile input that it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import cast
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from agents.engines.protocol import TestCounts

LIMIT_BYTES = 20_000_000
MESSAGE = 600  # characters kept of a failure's message
FUNCTIONS = 20_000  # that are told apart; of more tests nobody says which ran


@dataclass(frozen=True, slots=True)
class Report:
    """Totals, each test that failed or broke with the head of its message, and how often each function really ran."""

    counts: TestCounts
    failing: dict[str, str]  # "tests.test_x::test_y" -> head of its message
    ran: dict[str, dict[str, int]] = field(default_factory=dict)  # "tests.test_x" -> "test_y" -> cases


class Unreadable(Exception):
    """The file is no JUnit report."""


def parse(content: bytes) -> Report:
    """Read a report; counts come from the test cases themselves, never from the totals that the file claims."""
    parser = DefusedXMLParser(target=_Cases(), forbid_dtd=True)
    try:
        parser.feed(content)
        report = cast(Report, parser.close())  # whatever the target's close() answers
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise Unreadable(f"the report cannot be read: {error}") from error
    return report


class _Cases:
    """Counts test cases as the parser meets them: no tree is built, whatever the file holds."""

    def __init__(self) -> None:
        self._totals = Counter({"passed": 0, "failed": 0, "errors": 0, "skipped": 0})
        self._failing: dict[str, str] = {}
        self._ran: dict[str, dict[str, int]] = {}
        self._functions = 0
        self._group, self._name = "", ""
        self._depth = 0  # beneath the test case; 0 outside of one
        self._verdict = ""
        self._message: list[str] = []
        self._listening = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._depth:
            self._depth += 1
            if self._depth == 2 and _outranks(tag, self._verdict):
                self._verdict, self._message = tag, [attributes.get("message", "")[:MESSAGE], "\n"]
                self._listening = True
        elif tag == "testcase":
            self._depth, self._verdict, self._message = 1, "", []
            self._group, self._name = attributes.get("classname", "")[:300], attributes.get("name", "")[:300]

    def data(self, text: str) -> None:
        if self._listening:
            self._message.append(text[:MESSAGE])
            self._listening = len(self._message) < MESSAGE  # so many pieces are enough, however small

    def end(self, _tag: str) -> None:
        if not self._depth:
            return
        self._listening = self._listening and self._depth > 2
        self._depth -= 1
        if not self._depth:
            self._totals[_COUNTED_AS[self._verdict]] += 1
            if self._verdict in {"error", "failure"}:
                name = f"{self._group}::{self._name}" if self._group else self._name
                self._failing[name[:300]] = "".join(self._message).strip()[:MESSAGE]
            if self._verdict in {"", "failure"}:  # an error may be one of collecting: then it names a file
                self._count()

    def _count(self) -> None:
        functions = self._ran.setdefault(self._group, {})
        function = _CASE.sub("", self._name)
        self._functions += function not in functions
        functions[function] = functions.get(function, 0) + 1
        if self._functions > FUNCTIONS:
            self._ran = {}

    def close(self) -> Report:
        return Report(TestCounts(**self._totals), self._failing, self._ran if self._functions <= FUNCTIONS else {})


# What a case counts as, by the gravest thing beneath it.
_COUNTED_AS = {"error": "errors", "failure": "failed", "skipped": "skipped", "": "passed"}
_GRAVITY = ["", "skipped", "failure", "error"]
_CASE = re.compile(r"(?s)\[.*\]\Z")  # what pytest puts behind a function's name for each of its cases


def _outranks(tag: str, verdict: str) -> bool:
    return tag in _COUNTED_AS and _GRAVITY.index(tag) > _GRAVITY.index(verdict)
