from programs.brackets import brackets


def test_none():
    assert list(brackets(0)) == [""]


def test_one():
    assert list(brackets(1)) == ["()"]


def test_two():
    assert list(brackets(2)) == ["(())", "()()"]


def test_three():
    assert list(brackets(3)) == ["((()))", "(()())", "(())()", "()(())", "()()()"]
