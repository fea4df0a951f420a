import pytest
from versions import Version, latest


@pytest.mark.parametrize("lower, higher", [
    ("1.2", "1.10"), ("1.9.9", "2.0"), ("1.0.1", "1.1"), ("0.9", "1"),
    ("1.0-rc1", "1.0"), ("2.0-beta", "2.0-rc1"), ("1.9", "2.0-rc1"),
])
def test_order(lower, higher):
    assert Version(lower) < Version(higher)


def test_equal():
    assert Version("1.0.0") == Version("1")


def test_latest():
    assert latest(["1.0", "1.2", "1.1"]) == "1.2"
    assert latest(["1.0", "2.0-rc1"], stable=True) == "1.0"
    assert latest([]) is None


# hidden


def test_release_is_latest():
    assert latest(["3.0-rc2", "3.0", "3.0-rc1"]) == "3.0"
    assert not Version("1.0") < Version("1.0-rc1")
    assert Version("1.0-rc1") != Version("1.0")
