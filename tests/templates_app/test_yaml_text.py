"""What may stand in a template file, and what is refused with its place."""

from __future__ import annotations

import pytest

from templates_app.faults import TemplateFault
from templates_app.yaml_text import MAX_BYTES, Position, read


def value(text: str) -> object:
    return read(text, file="t.yaml").value


def refused(text: str | bytes) -> tuple[str, int, int]:
    with pytest.raises(TemplateFault) as caught:
        read(text, file="t.yaml")
    error = caught.value.errors[0]
    assert error.file == "t.yaml"
    return error.code, error.line, error.column


def test_scalars_follow_yaml_1_2() -> None:
    text = "[NO, yes, on, 0o17, 017, 1_000, 12:30, ~, null, '', 1.5, 1e3, true, 0x1F, 2026-01-01]"
    expected = [
        "NO",
        "yes",
        "on",
        15,
        17,
        "1_000",
        "12:30",
        None,
        None,
        "",
        1.5,
        1000.0,
        True,
        31,
        "2026-01-01",
    ]
    assert value(text) == expected


def test_json_is_accepted_with_its_surrogate_pairs() -> None:
    assert value('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


def test_positions_are_those_of_keys_and_elements() -> None:
    positions = read("a:\n  b: 1\n  c:\n    - x\n    - y\n", file="t").positions
    assert positions["a", "b"] == Position(2, 3)
    assert positions["a", "c", 1] == Position(5, 7)


def test_aliases_are_values_placed_where_they_are_used() -> None:
    text = read("a: &x {k: 1}\nb: *x\n", file="t")
    assert text.value == {"a": {"k": 1}, "b": {"k": 1}}
    assert text.positions["b", "k"].line == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", ("duplicate_key", 2, 1)),
        ("a:\n  - {b: 1, b: 1}", ("duplicate_key", 2, 12)),
        ("a: *nothing", ("bad_alias", 1, 4)),
        ("a: &x [*x]", ("bad_alias", 1, 8)),
        ("a: !!python/object:os.system x", ("bad_tag", 1, 4)),
        ("a: !!set {x}", ("bad_tag", 1, 4)),
        ("a: b\n\0", ("bad_character", 2, 1)),
        ('a: "\\0"', ("bad_character", 1, 4)),
        ('a: "\\ud83d"', ("bad_character", 1, 4)),
        ("a: 1\n---\nb: 1", ("bad_yaml", 2, 1)),
        ("a: {", ("bad_yaml", 1, 5)),
        ("a: .inf", ("bad_number", 1, 4)),
        ("a: 1e999", ("bad_number", 1, 4)),
        ("a: 9223372036854775808", ("bad_number", 1, 4)),
        ("a: " + "9" * 5000, ("bad_number", 1, 4)),
        ("1: a", ("bad_key", 1, 1)),
        ("k" * 201 + ": a", ("bad_key", 1, 1)),
        ("? " + "k" * 201 + "\n: a", ("bad_key", 1, 3)),
        ("<<: {a: 1}", ("bad_key", 1, 1)),
        ("%YAML 1.1\n---\na: 1", ("bad_yaml", 2, 1)),
        (b"a: 1\nb: \xff", ("bad_encoding", 2, 4)),
        ("a: 1\nb: x\0", ("bad_character", 2, 5)),
        ("a: 1\nb: x\x07", ("bad_character", 2, 5)),
        ('"\\U00110000"', ("bad_yaml", 1, 1)),
        ("", ("empty", 1, 1)),
    ],
)
def test_what_is_not_accepted_is_located(text: str | bytes, expected: tuple[str, int, int]) -> None:
    assert refused(text) == expected


def test_size_and_depth_are_bounded() -> None:
    assert refused("a: " + "x" * MAX_BYTES)[0] == "too_large"
    assert value("[" * 50 + "]" * 50) is not None
    assert refused("[" * 51 + "]" * 51)[0] == "too_deep"
    assert refused("[" * 100_000)[0] == "too_deep"


def test_depth_counts_through_aliases() -> None:
    deep = "a: &a " + "[" * 30 + "]" * 30
    assert refused(f"{deep}\nb: {'[' * 30}*a{']' * 30}")[0] == "too_deep"


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert refused(bomb)[0] == "too_large"
