import pytest

from divisor import greatest_common_divisor, least_common_multiple


@pytest.mark.parametrize(("a", "b", "wanted"), [(13, 13, 13), (37, 600, 1), (20, 100, 20), (48, 18, 6), (7, 0, 7)])
def test_divisor(a, b, wanted):
    assert greatest_common_divisor(a, b) == wanted


@pytest.mark.parametrize(("a", "b", "wanted"), [(4, 6, 12), (5, 7, 35), (3, 9, 9)])
def test_multiple(a, b, wanted):
    assert least_common_multiple(a, b) == wanted
