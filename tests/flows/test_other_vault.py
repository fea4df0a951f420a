"""An operation that goes on where its vault is not: on another host, or after the vault was lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from operations.models import Operation, Stage, Step
from tests.flows.inline import Inline, left_held, stages


def test_work_begins_again_on_a_fresh_clone_where_the_vault_does_not_hold_it(
    inline: Inline, data_directory: Path
) -> None:
    operation = inline.submit()
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == Stage.TEST)
    shutil.rmtree(data_directory / "vaults")

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert [stage for stage, outcome in stages(operation) if outcome == "done"].count("analyze") == 2
    lost = operation.steps.get(outcome=Step.Outcome.FAULT)
    assert (lost.stage, lost.fault["code"], lost.action) == ("test", "vault.tree_missing", "fresh_clone")
    assert left_held() == []
