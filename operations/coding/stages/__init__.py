"""The nine stages. Each is a function from its context to an outcome; it may be run again after a kill at any point."""

from __future__ import annotations

from collections.abc import Callable

from operations.coding.context import Context, Outcome
from operations.coding.stages.analyze import analyze
from operations.coding.stages.code import code
from operations.coding.stages.complete import complete
from operations.coding.stages.deliver import commit, pull_request
from operations.coding.stages.init import init
from operations.coding.stages.plan import plan
from operations.coding.stages.test import test
from operations.coding.stages.validate import validate
from operations.models import Stage

STAGES: dict[Stage, Callable[[Context], Outcome]] = {
    Stage.INIT: init,
    Stage.ANALYZE: analyze,
    Stage.PLAN: plan,
    Stage.CODE: code,
    Stage.TEST: test,
    Stage.VALIDATE: validate,
    Stage.COMMIT: commit,
    Stage.PR: pull_request,
    Stage.COMPLETE: complete,
}
