import pytest

from notation import evaluated, fields_of, in_base, luhn_valid, postfix, roman


@pytest.mark.parametrize(
    ("tokens", "value"), [([3, 5, "+", 2, "/"], 4), ([2, 2, "+"], 4), ([7, 4, "+", 3, "-"], 8), ([1, 2, "*", 3, 4, "*", "+"], 14), ([9], 9)]
)
def test_evaluated(tokens, value):
    assert evaluated(tokens) == value


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [([30], [30]), ([1, "+", 2], [1, 2, "+"]), ([1, "-", 2, "-", 3], [1, 2, "-", 3, "-"]), ([1, "+", 2, "*", 3], [1, 2, 3, "*", "+"]), ([2, "*", 3, "+", 4], [2, 3, "*", 4, "+"])],
)
def test_postfix(tokens, wanted):
    assert postfix(tokens) == wanted


@pytest.mark.parametrize(("number", "base", "wanted"), [(31, 16, "1f"), (41, 2, "101001"), (44, 5, "134"), (8, 8, "10"), (35, 36, "z")])
def test_in_base(number, base, wanted):
    assert in_base(number, base) == wanted


@pytest.mark.parametrize(("number", "wanted"), [(1, "I"), (4, "IV"), (1994, "MCMXCIV"), (3888, "MMMDCCCLXXXVIII"), (40, "XL")])
def test_roman(number, wanted):
    assert roman(number) == wanted


@pytest.mark.parametrize(("digits", "valid"), [("4539578763621486", True), ("8273123273520569", False), ("0", True), ("59", True), ("91", True), ("18", True), ("19", False)])
def test_luhn(digits, valid):
    assert luhn_valid(digits) is valid


@pytest.mark.parametrize(("line", "fields"), [("a,b", ["a", "b"]), ("", [""]), ('x,"1,2",y', ["x", "1,2", "y"]), ("a,,b", ["a", "", "b"]), (",", ["", ""])])
def test_fields(line, fields):
    assert fields_of(line) == fields
