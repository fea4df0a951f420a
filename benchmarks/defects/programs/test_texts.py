import pytest

from texts import balanced, is_palindrome, most_common, runs, shifted, wrapped


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("short", 10, ["short"]),
        ("a bb ccc dddd", 4, ["a bb", "ccc", "dddd"]),
        ("", 5, [""]),
    ],
)
def test_wrapped(text, columns, lines):
    assert wrapped(text, columns) == lines


@pytest.mark.parametrize(
    ("text", "pairs"), [("", []), ("a", [("a", 1)]), ("aab", [("a", 2), ("b", 1)]), ("abba", [("a", 1), ("b", 2), ("a", 1)])]
)
def test_runs(text, pairs):
    assert runs(text) == pairs


@pytest.mark.parametrize(("text", "key", "moved"), [("abc", 1, "bcd"), ("xyz", 3, "abc"), ("Hi, Z!", 1, "Ij, A!"), ("b", -1, "a")])
def test_shifted(text, key, moved):
    assert shifted(text, key) == moved


@pytest.mark.parametrize(("text", "wanted"), [("Never odd or even", True), ("ab", False), ("", True), ("No, on!", True), ("aB a", True)])
def test_palindrome(text, wanted):
    assert is_palindrome(text) is wanted


@pytest.mark.parametrize(("words", "wanted"), [("b a b a c", "a"), ("x y y", "y"), ("", None), ("q", "q"), ("c c b b b", "b")])
def test_most_common(words, wanted):
    assert most_common(words.split()) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("([]{})", True), ("(]", False), ("((", False), ("", True), ("}", False), ("a(b)c", True)])
def test_balanced(text, wanted):
    assert balanced(text) is wanted
