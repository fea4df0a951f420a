import pytest
from ledger import Ledger


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.buy(10, 5)
    ledger.buy(5, 8)
    return ledger


def test_held(ledger):
    assert ledger.held() == 15


def test_too_many(ledger):
    with pytest.raises(ValueError):
        ledger.sell(16, 9)


def test_part_of_a_lot(ledger):
    assert ledger.sell(4, 7) == 8
    assert ledger.held() == 11


def test_over_two_lots(ledger):
    assert ledger.sell(12, 10) == 54
    assert ledger.held() == 3


def test_all(ledger):
    assert ledger.sell(15, 8) == 30
    assert ledger.lots == []


def test_one_after_the_other(ledger):
    assert ledger.sell(6, 5) == 0
    assert ledger.sell(6, 8) == 12
    assert ledger.held() == 3


# hidden


def test_whole_lot(ledger):
    assert ledger.sell(10, 4) == -10
    assert ledger.lots == [[5, 8]]


def test_nothing(ledger):
    assert ledger.sell(0, 4) == 0
    assert ledger.held() == 15
