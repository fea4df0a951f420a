import pytest
from fraction import Fraction as F


def test_shortened():
    assert str(F(6, 8)) == "3/4"


def test_whole():
    assert str(F(8, 4)) == "2"


def test_zero_below():
    with pytest.raises(ZeroDivisionError):
        F(1, 0)


def test_negative_below():
    assert str(F(1, -2)) == "-1/2"
    assert F(-3, -6) == F(1, 2)


def test_sum():
    assert F(1, 2) + F(1, 3) == F(5, 6)
    assert F(1, 4) + F(1, 4) == F(1, 2)


def test_difference():
    assert F(1, 2) - F(1, 3) == F(1, 6)


def test_product():
    assert F(2, 3) * F(3, 4) == F(1, 2)


def test_quotient():
    assert F(1, 2) / F(3, 4) == F(2, 3)
    assert F(3) / F(2) == F(3, 2)


# hidden


def test_negative_quotient():
    assert str(F(1, 2) / F(-3, 5)) == "-5/6"


def test_chain():
    assert F(1, 6) + F(1, 10) - F(2, 15) * F(1) == F(2, 15)


def test_sum_of_negatives():
    assert str(F(-7, 3) + F(1, 3)) == "-2"
    assert str(F(5, -7) - F(2, 7)) == "-1"
