"""Heirs, and ancestors as a drawing."""

from __future__ import annotations

from templates_app.documents import Document
from templates_app.relatives import HEIGHT, WIDTH, drawing, heirs
from tests.templates_app.writing import layer


def family() -> dict[str, Document]:
    parents = {"base": [], "left": ["base"], "right": ["base"], "both": ["left", "right"], "far": ["both"]}
    return {name: layer(name, extends=over) for name, over in parents.items()}


def test_heirs_are_all_that_build_on_it_the_near_ones_first() -> None:
    assert [one.name for one in heirs("base", family())] == ["left", "right", "both", "far"]
    assert heirs("far", family()) == ()


def test_every_ancestor_is_a_box_above_those_that_extend_it_and_no_two_overlap() -> None:
    drawn = drawing("both", family())
    at = {box.name: box for box in drawn.boxes}
    assert set(at) == {"base", "left", "right", "both"}
    assert at["base"].y + HEIGHT < at["left"].y == at["right"].y < at["both"].y
    assert abs(at["left"].x - at["right"].x) >= WIDTH
    assert {(line.child, line.parent, line.place) for line in drawn.lines} == {
        ("left", "base", 1), ("right", "base", 1), ("both", "left", 1), ("both", "right", 2),
    }  # fmt: skip
    assert all(0 <= box.x <= drawn.width - WIDTH and 0 <= box.y <= drawn.height - HEIGHT for box in drawn.boxes)


def test_a_missing_parent_is_drawn_as_missing_and_a_circle_ends() -> None:
    documents = {"one": layer("one", extends=["two", "nowhere"]), "two": layer("two", extends=["one"])}
    boxes = {box.name: box.there for box in drawing("one", documents).boxes}
    assert boxes == {"one": True, "two": True, "nowhere": False}
