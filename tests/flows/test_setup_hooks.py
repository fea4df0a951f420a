"""Setup hooks of a template: run in every checkout that commands work in, and no part of any change."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from operations.models import Operation
from operations.submit import cancel
from tests.flows.inline import PLAIN_TEMPLATE, Inline, left_held
from tests.flows.repositories import PROJECT, Remote, make
from tests.flows.test_fences import in_thread, running, wait_for

# The tests of this project fail without what the hook makes.
NEEDS_HOOK = {
    **PROJECT,
    "test_calc.py": f"from made_by_hook import YES\n{PROJECT['test_calc.py']}\n\ndef test_made():\n    assert YES\n",
}
_PROGRAM = "open('made_by_hook.py', 'w').write('YES = 1'); import os; os.makedirs('gen/a b'); open('gen/a b/#x', 'w')"
MAKES = f'[python3, -c, "{_PROGRAM}"]'


def hooked(data: Path, *hooks: str) -> str:
    """A template with these hooks."""
    text = PLAIN_TEMPLATE.replace("name: plain", "name: hooked")
    (data / "templates" / "hooked.yaml").write_text(text + f"  hooks:\n    setup: [{', '.join(hooks)}]\n")
    return "hooked"


def finished(inline: Inline, remote: Remote, template: str) -> Operation:
    return inline.finish(inline.submit(inline.project(remote, default_template=template)))


def test_what_the_hooks_make_is_there_for_all_tests_and_not_in_the_change(inline: Inline, data_directory: Path) -> None:
    remote = make(inline.roots / "r.git", NEEDS_HOOK)
    operation = finished(inline, remote, hooked(data_directory, MAKES))
    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["before"]["passed"] == 2
    assert operation.result["tests"]["after"]["passed"] == 3
    changed = remote.git("diff", "--name-only", "main", operation.result["branch"])
    assert changed == "calc.py"
    for stage in ("analyze", "code", "test"):
        assert "setup hook 1 of 1" in operation.steps.get(stage=stage).log, stage


def test_a_second_berth_is_set_up_like_the_first(inline: Inline, data_directory: Path) -> None:
    from agents import lifecycle

    remote = make(inline.roots / "r.git", NEEDS_HOOK)
    template = hooked(data_directory, MAKES)
    operation = inline.submit(inline.project(remote, default_template=template))
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "test")
    operation.refresh_from_db()
    lifecycle.request_stop(operation.agent_id, actor="user:ada", reason="by hand")
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert operation.steps.filter(action="recreate_environment").count() == 1


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ('[sh, -c, "echo no such thing >&2; exit 7"]', "ended with exit code 7"),
        ("[no-such-program]", "cannot be started"),
    ],
)
def test_a_hook_that_fails_is_shown_to_a_person_with_what_it_said(
    inline: Inline, data_directory: Path, hook: str, words: str
) -> None:
    operation = finished(inline, make(inline.roots / "r.git", PROJECT), hooked(data_directory, "['true']", hook))
    assert (operation.status, operation.error["code"]) == ("failed", "hooks.failed")
    assert operation.error["class"] == "configuration"
    assert "setup hook 2 of 2" in operation.error["detail"]
    assert words in operation.error["detail"]
    assert operation.error["remedy"]
    if "exit 7" in hook:
        assert "no such thing" in operation.error["facts"]["output"]
    assert left_held() == []


def test_a_hook_that_runs_long_is_ended_with_its_operation(inline: Inline, data_directory: Path) -> None:
    template = hooked(data_directory, "[sleep, '60']")
    operation = inline.submit(inline.project(make(inline.roots / "r.git", PROJECT), default_template=template))
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "analyze")
    runner = in_thread(lambda: inline.run())
    wait_for(lambda: running(operation, "analyze"))
    time.sleep(1.0)
    cancel(by=inline.user, operation_id=operation.pk)
    runner.join(20)
    assert not runner.is_alive()


def test_hooks_that_leave_project_files_alone_are_not_counted_as_a_change(inline: Inline, data_directory: Path) -> Any:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = finished(inline, remote, hooked(data_directory, "['true']"))
    assert operation.status == "succeeded", operation.error
    assert operation.result["diffstat"] == {"files": 1, "insertions": 1, "deletions": 1}
