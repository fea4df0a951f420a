import pytest

from primes import crossed_out, factors, primes_to


@pytest.mark.parametrize(("limit", "primes"), [(1, []), (2, [2]), (10, [2, 3, 5, 7]), (13, [2, 3, 5, 7, 11, 13])])
def test_primes(limit, primes):
    assert primes_to(limit) == primes


@pytest.mark.parametrize(
    ("number", "found"), [(1, []), (2, [2]), (9, [3, 3]), (100, [2, 2, 5, 5]), (101, [101]), (98, [2, 7, 7])]
)
def test_factors(number, found):
    assert factors(number) == found


@pytest.mark.parametrize(("limit", "primes"), [(2, []), (3, [2]), (12, [2, 3, 5, 7, 11]), (26, [2, 3, 5, 7, 11, 13, 17, 19, 23])])
def test_crossed_out(limit, primes):
    assert crossed_out(limit) == primes
