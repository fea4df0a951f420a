import pytest

from manifest.cargo import Crate, by_danger, readCargo
from manifest.report import fits, summary, tonnes

TEA = Crate("tea", 1200.0)
ACID = Crate("acid", 300.0, "8")
POWDER = Crate("gunpowder", 540.0, "1.1")


@pytest.fixture
def cargo_list(tmp_path):
    path = tmp_path / "cargo.csv"
    path.write_text("goods,weight_kg,danger\ntea,1200,\nacid,300,8\n", encoding="utf-8")
    return str(path)


def test_the_list_is_read_line_by_line(cargo_list):
    assert [(crate.goods, crate.weight_kg) for crate in readCargo(cargo_list)] == [("tea", 1200.0), ("acid", 300.0)]


def test_an_empty_danger_column_means_harmless(cargo_list):
    assert [crate.danger for crate in readCargo(cargo_list)] == [None, "8"]


def test_weights_add_up_to_tonnes():
    assert tonnes([TEA, ACID, POWDER]) == 2.0


def test_dangerous_crates_are_listed_by_class():
    assert list(by_danger([ACID, TEA, POWDER])) == ["1.1", "8"]


def test_a_hold_takes_exactly_its_limit():
    assert fits([TEA, ACID], 1.5)
    assert not fits([TEA, ACID], 1.4)


def test_the_summary_names_what_is_dangerous():
    assert summary("Halcyon", [TEA, ACID], 10) == "Halcyon: 2 crates, 1.5 t\n  class 8: acid"


def test_the_summary_says_how_much_is_too_much():
    assert summary("Halcyon", [TEA], 1).splitlines()[-1] == "  OVERLOADED by 0.2 t"
