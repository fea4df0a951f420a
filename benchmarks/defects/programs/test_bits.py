import pytest

from bits import count_ones, highest_power


@pytest.mark.parametrize(("number", "ones"), [(0, 0), (1, 1), (6, 2), (127, 7), (128, 1), (1005, 8)])
def test_ones(number, ones):
    assert count_ones(number) == ones


@pytest.mark.parametrize(("number", "power"), [(1, 1), (2, 2), (3, 2), (63, 32), (64, 64), (100, 64)])
def test_power(number, power):
    assert highest_power(number) == power
