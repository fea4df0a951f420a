"""JUnit reports come out of a sandbox: they are read as lies until shown otherwise."""

from __future__ import annotations

import resource
import time

import pytest

from agents.engines.protocol import TestCounts
from operations.coding import junit


def suite(*cases: str, totals: str = "") -> bytes:
    return f"<testsuites><testsuite {totals}>{''.join(cases)}</testsuite></testsuites>".encode()


def case(name: str, inside: str = "") -> str:
    return f'<testcase classname="t.m" name="{name}">{inside}</testcase>'


def test_cases_are_counted_by_the_gravest_thing_that_happened_to_them() -> None:
    report = junit.parse(
        suite(
            case("a"), case("b", "<skipped/>"), case("c", '<failure message="m">text</failure>'),
            case("d", '<failure message="first"/><error message="worse"/>'), case("e", "<system-out>x</system-out>"),
        )
    )  # fmt: skip
    assert report.counts == TestCounts(passed=2, failed=1, errors=1, skipped=1)
    assert report.failing == {"t.m::c": "m\ntext", "t.m::d": "worse"}


def test_the_totals_that_a_file_claims_are_not_believed() -> None:
    report = junit.parse(suite(case("a", "<failure/>"), totals='tests="99" failures="0" errors="0"'))
    assert report.counts == TestCounts(passed=0, failed=1)


def test_a_report_without_tests_counts_none() -> None:
    assert junit.parse(b"<testsuites/>").counts.total == 0


def test_a_failure_hidden_deeper_or_in_another_element_is_no_verdict_of_the_case() -> None:
    nested = case("a", "<properties><failure message='no'/></properties>")
    assert junit.parse(suite(nested)).counts == TestCounts(passed=1)
    assert junit.parse(b"<r><failure/><error/></r>").counts.total == 0


def test_a_case_within_a_case_does_not_hide_the_outer_failure() -> None:
    report = junit.parse(suite(case("outer", "<failure message='m'/>" + case("inner"))))
    assert report.counts.failed == 1
    assert report.counts.passed == 0


def test_messages_are_cut() -> None:
    report = junit.parse(suite(case("a", f"<failure message='{'x' * 5000}'>{'y' * 5000}</failure>")))
    assert len(report.failing["t.m::a"]) <= junit.MESSAGE


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""
OUTSIDE = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&f;"/></testsuite>'


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not xml", b"<a>", b"\x00\xff\xfe", BOMB, OUTSIDE, b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="utf-7"?><a/>', b'<?xml version="1.0" encoding="shift_jis"?><a/>',
        b"<a>" * 100_000, suite(case("a"))[:-5],
    ],
    ids=["empty", "text", "cut", "bytes", "bomb", "file", "encoding", "utf7", "multibyte", "deep", "short"],
)  # fmt: skip
def test_what_is_no_report_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(junit.Unreadable):
        junit.parse(content)


def test_the_biggest_report_that_is_taken_costs_neither_memory_nor_minutes() -> None:
    many = case("a", "<failure>&#10;x&#10;x</failure>").encode()
    content = b"<t>" + b"<a/>" * 2_000_000 + many * 150_000 + b"</t>"
    assert len(content) <= junit.LIMIT_BYTES
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    report = junit.parse(content)
    assert report.counts.failed == 150_000
    assert time.monotonic() - began < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
