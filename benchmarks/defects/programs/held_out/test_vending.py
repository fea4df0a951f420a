import pytest
from vending import Vending


@pytest.fixture
def machine():
    return Vending({"tea": 130, "cola": 200}, {"tea": 1, "cola": 5})


def test_unknown_coin(machine):
    with pytest.raises(ValueError):
        machine.insert(3)


def test_too_little(machine):
    machine.insert(100)
    assert machine.select("tea") == "insert 30"


def test_exact(machine):
    machine.insert(200)
    assert machine.select("cola") == "take cola"
    assert machine.change() == []


def test_change(machine):
    machine.insert(200)
    machine.select("tea")
    assert machine.change() == [50, 20]
    assert machine.change() == []


def test_money_back(machine):
    machine.insert(50)
    machine.insert(100)
    assert machine.change() == [100, 50]


def test_sold_out(machine):
    for _ in range(2):
        machine.insert(200)
    assert machine.select("tea") == "take tea"
    assert machine.select("tea") == "sold out"
    assert machine.select("beer") == "sold out"


# hidden


def test_twice_from_one_credit(machine):
    for _ in range(2):
        machine.insert(200)
    assert machine.select("cola") == "take cola"
    assert machine.select("cola") == "take cola"
    assert machine.sold == ["cola", "cola"]
    assert machine.stock["cola"] == 3


def test_equal_coins(machine):
    for _ in range(4):
        machine.insert(20)
    machine.insert(200)
    machine.insert(200)
    assert machine.change() == [200, 200, 50, 20, 10]
