"""What others wrote in a pull request's body: it says something, and does nothing."""

from __future__ import annotations

import pytest

from operations.coding import bodies


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("@octocat and @org/team", "`@octocat` and `@org/team`"),
        ("Closes #12, fixes acme/calc#3, GH-7", "Closes `#12`, fixes `acme/calc#3`, `GH-7`"),
        ("Closes https://github.com/a/b/issues/1", "Closes `https://github.com/a/b/issues/1`"),
        ("![x](https://spy.example/?q=1)", "[x](https://spy.example/?q=1)"),
        ("<img src=https://spy.example>", "&lt;img src=https://spy.example>"),
        ("<details><summary>x", "&lt;details>&lt;summary>x"),
        ("seen<!-- and not --> seen", "seen seen"),
        ("a\u200bb\u202ec\U000e0041", "abc"),
        ("mail me@example.org, `@not`, 5 < 7, C# 12", "mail me@example.org, `@not`, 5 < 7, C# 12"),
    ],
)
def test_words_call_nobody_and_hide_nothing(said: str, shown: str) -> None:
    assert bodies._quiet(said) == shown


def test_a_quotation_is_ended_by_nothing_in_it() -> None:
    quoted = bodies._quoted("Fine.\n\n## Tests\n| 100 | passed |\r\n> > deeper")
    assert all(line.startswith("> ") for line in quoted.splitlines())
