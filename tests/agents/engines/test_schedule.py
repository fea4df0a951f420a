"""Which steps of a plan are carried out side by side."""

from __future__ import annotations

import pytest

from agents.engines.protocol import PlanStep
from agents.roles.schedule import Stretch, stretches


def step(*files: str, after: tuple[int, ...] = ()) -> PlanStep:
    return PlanStep("t", files, "", after)


def beside(*numbers: int) -> Stretch:
    return Stretch(numbers, beside=True)


def in_order(*numbers: int) -> Stretch:
    return Stretch(numbers, beside=False)


A, B, C, D = (step(f"{name}.py") for name in "abcd")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ()),
        ([A], (in_order(1),)),
        ([A, B], (beside(1, 2),)),
        ([A, A], (in_order(1, 2),)),
        ([A, step("./a.py")], (in_order(1, 2),)),
        ([A, step("a.py/x.py")], (in_order(1, 2),)),
        ([step("pkg/x.py"), step("pkg/y.py")], (beside(1, 2),)),
        ([A, B, step("c.py", after=(1,))], (beside(1, 2), in_order(3))),
        ([A, B, step("a.py", "b.py")], (beside(1, 2), in_order(3))),
        ([A, step("b.py", after=(1,)), step("c.py", after=(2,))], (in_order(1, 2, 3),)),
        ([A, step("b.py", after=(1,)), step("c.py", after=(1,))], (in_order(1), beside(2, 3))),
        ([A, step("a.py"), C], (beside(1, 3), in_order(2))),
        # Who does not say which files waits for all, and all that follow wait for it.
        ([A, step(), B, C], (in_order(1, 2), beside(3, 4))),
        ([step(), step()], (in_order(1, 2),)),
        ([A, step("src/*.py")], (in_order(1, 2),)),
        ([A, step("src/")], (in_order(1, 2),)),
        ([A, step("src")], (in_order(1, 2),)),  # a folder of files that are there
        ([A, step("../b.py")], (in_order(1, 2),)),
        ([A, step("b.py", ".git/hooks/pre-commit")], (in_order(1, 2),)),
        # What cannot be: it waits for all that comes before.
        ([A, step("b.py", after=(2,))], (in_order(1, 2),)),
        ([A, step("b.py", after=(3,)), C], (beside(1, 3), in_order(2))),
        ([A, step("b.py", after=(0,))], (in_order(1, 2),)),
        # Two at a time; a single one left over is done in order.
        ([A, B, C, D], (beside(1, 2), beside(3, 4))),
        ([A, B, C], (beside(1, 2), in_order(3))),
    ],
)
def test_steps_are_beside_each_other_where_they_say_so_and_in_order_else(
    steps: list[PlanStep], expected: tuple[Stretch, ...]
) -> None:
    assert stretches(steps, most=2, known=("a.py", "src/one.py")) == expected


def test_one_at_a_time_is_in_order() -> None:
    assert stretches([A, B, C], most=1) == (in_order(1, 2, 3),)


def test_every_step_is_carried_out_once_however_the_plan_is_made() -> None:
    steps = [A, step(), B, step("c.py", after=(3, 1)), step("d.py", "e.py"), step("e.py"), step("f.py", after=(9,))]
    for most in (1, 2, 3, 8):
        numbers = [number for stretch in stretches(steps, most=most) for number in stretch.numbers]
        assert sorted(numbers) == [1, 2, 3, 4, 5, 6, 7]
