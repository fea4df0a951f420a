"""JUnit XML, read as the hostile input that it is."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from agents.engines.protocol import TestCounts

LIMIT_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """Totals, and each test that failed or broke with the head of its message."""

    counts: TestCounts
    failing: dict[str, str]  # "tests.test_x::test_y" -> message, at most 600 characters


class Unreadable(Exception):
    """The file is no JUnit report."""


def parse(content: bytes) -> Report:
    """Read a report; counts come from the test cases themselves, never from the totals that the file claims."""
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Unreadable(f"the report cannot be read: {error}") from error
    passed = failed = errors = skipped = 0
    failing: dict[str, str] = {}
    for case in root.iter("testcase"):
        if (fault := case.find("error")) is not None:
            errors += 1
        elif (fault := case.find("failure")) is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
        if fault is not None:
            failing[_name(case)] = _message(fault)
    return Report(TestCounts(passed, failed, errors, skipped), failing)


def _name(case: Element) -> str:
    group, name = case.get("classname", ""), case.get("name", "")
    return (f"{group}::{name}" if group else name)[:300]


def _message(fault: Element) -> str:
    text = (fault.get("message") or "") + "\n" + (fault.text or "")
    return text.strip()[:600]
