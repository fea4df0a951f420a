"""Entries of an allow-list: what they name, and what is no entry."""

from __future__ import annotations

import pytest

from resources.egress import rules


def allowed(entries: list[str], host: str, port: int = 443) -> bool:
    return rules.allows([rules.parse(entry) for entry in entries], host=host, port=port)


def test_a_host_is_allowed_on_the_usual_ports_and_on_no_other() -> None:
    assert [allowed(["pypi.org"], "pypi.org", port) for port in (80, 443, 22, 8080)] == [True, True, False, False]


def test_a_named_port_is_the_only_one() -> None:
    assert [allowed(["git.example:22"], "git.example", port) for port in (22, 80, 443)] == [True, False, False]


def test_a_suffix_names_everything_beneath_it_but_not_itself_and_not_its_lookalikes() -> None:
    entries = ["*.example.org"]
    assert allowed(entries, "a.example.org")
    assert allowed(entries, "a.b.example.org")
    for host in ("example.org", "badexample.org", "example.org.evil.net", "a.example.org.evil.net"):
        assert not allowed(entries, host), host


def test_an_empty_list_allows_nothing() -> None:
    assert not allowed([], "pypi.org")


def test_case_and_the_dot_at_the_end_make_no_difference() -> None:
    assert rules.parse("PyPI.org") == rules.Rule("pypi.org")
    assert rules.host_of("PYPI.ORG.") == "pypi.org"


@pytest.mark.parametrize(
    "entry",
    [
        "", "*", "*.com", "*.*.org", "a.*.org", "https://pypi.org", "pypi.org/simple", "user@pypi.org", "pypi.org:0",
        "pypi.org:65536", "pypi.org:443:443", "pypi.org:", "pypi..org", "-a.org", "a_-.org", "пример.рф", "a b",
        "a\n.org",
        "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.2.3.4.5", "01.2.3.4", "[::1]", "::1", "*.2.3.4",
        "a" * 64 + ".org", "a." * 127 + "org",
    ],
)  # fmt: skip
def test_what_names_no_destination_is_refused(entry: str) -> None:
    with pytest.raises(rules.BadRule):
        rules.parse(entry)


def test_a_plain_address_can_be_named() -> None:
    assert allowed(["192.0.2.7:8443"], "192.0.2.7", 8443)
