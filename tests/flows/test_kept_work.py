"""Work that nobody committed outlives its berth, however the berth ends; and it can be had back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from agents import lifecycle, upkeep
from agents.models import Agent
from operations import submit
from operations.coding import retention, vault
from operations.models import Operation, Stage
from resources.files import Beneath
from resources.sandboxes import selection
from tests.flows.inline import Inline

EDITED = b"def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b  # by hand\n"


def at_work(inline: Inline, operation: Operation | None = None) -> tuple[Operation, Path]:
    """An operation whose stage CODE is done, and its checkout, in which somebody has gone on working."""
    operation = operation or inline.submit()
    before = operation.agent_id

    def coded() -> bool:
        operation.refresh_from_db()
        return operation.stage == Stage.TEST and operation.agent_id not in {None, before}

    inline.run(until=coded)
    assert coded()
    checkout = workspace(operation) / "tree"
    Beneath(checkout.parent).write("tree/calc.py", EDITED)
    Beneath(checkout).write("notes/new.txt", b"new\n")
    return operation, checkout


def workspace(operation: Operation) -> Path:
    agent = Agent.objects.get(pk=operation.agent_id)
    assert agent.sandbox is not None
    return Path(agent.sandbox["profile"]["workspace"])


def store_of(operation: Operation) -> vault.Vault:
    return vault.open_vault(root=Path(settings.DATA) / "vaults", project_id=operation.project_id)


def unfinished(operation: Operation) -> list[str]:
    """Labels of unfinished work, oldest first."""
    refs = vault.refs(vault=store_of(operation), operation_id=operation.pk)
    return sorted(label for label in refs if label.startswith("unfinished-"))


def content(operation: Operation, label: str, path: str) -> bytes:
    store = store_of(operation)
    name = vault.refs(vault=store, operation_id=operation.pk)[label]
    command = ["git", f"--git-dir={store.path}", "cat-file", "blob", f"{name}:{path}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def cancel(inline: Inline, operation: Operation) -> None:
    submit.cancel(by=inline.user, operation_id=operation.pk)


def cancel_and_retry_at_once(inline: Inline, operation: Operation) -> None:
    submit.cancel(by=inline.user, operation_id=operation.pk)
    submit.retry(by=inline.user, operation_id=operation.pk)


def stop_the_agent(_inline: Inline, operation: Operation) -> None:
    assert operation.agent_id
    lifecycle.request_stop(operation.agent_id, actor="user:root", reason="maintenance")


def lose_the_sandbox(_inline: Inline, operation: Operation) -> None:
    agent = Agent.objects.get(pk=operation.agent_id)
    assert agent.sandbox is not None
    selection.adopt(agent.sandbox).close()
    upkeep.inspect(host=settings.HOST_NAME, now=timezone.now(), worker="test")


def fill_the_workspace(inline: Inline, operation: Operation) -> None:
    with (workspace(operation) / "core").open("wb") as core:
        try:
            for _ in range(3000):
                core.write(b"\1" * (1 << 20))
        except OSError:
            core.truncate(core.tell())
    cancel(inline, operation)


ENDINGS = [cancel, cancel_and_retry_at_once, stop_the_agent, lose_the_sandbox]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_uncommitted_is_kept(inline: Inline, ending: Callable[[Inline, Operation], None]) -> None:
    operation, checkout = at_work(inline)
    inline.queued()  # nobody works on: the stage that would come next is not run
    ending(inline, operation)
    inline.run()
    (label,) = unfinished(operation)
    assert content(operation, label, "calc.py") == EDITED
    assert content(operation, label, "notes/new.txt") == b"new\n"
    assert not checkout.exists(), "the berth is gone all the same"


@pytest.mark.needs_loop_devices
def test_a_full_workspace_keeps_its_work_as_well(inline: Inline, settings: Any) -> None:
    settings.WORKSPACES = "image"
    templates = settings.DATA / "templates" / "plain.yaml"
    templates.write_text(templates.read_text() + "  size:\n    disk_mb: 128\n")
    operation, checkout = at_work(inline)
    fill_the_workspace(inline, operation)
    inline.run()
    (label,) = unfinished(operation)
    assert content(operation, label, "calc.py") == EDITED
    assert not checkout.exists()


def test_two_berths_do_not_overwrite_each_others_work(inline: Inline) -> None:
    operation, _ = at_work(inline)
    first = operation.agent_id
    lose_the_sandbox(inline, operation)
    _, checkout = at_work(inline, operation)
    assert operation.agent_id != first
    Beneath(checkout).write("calc.py", EDITED + b"# later\n")
    cancel(inline, operation)
    inline.run()
    labels = unfinished(operation)
    assert sorted(content(operation, label, "calc.py") for label in labels) == [EDITED, EDITED + b"# later\n"]


def test_keeping_twice_keeps_once_and_success_keeps_nothing(inline: Inline) -> None:
    operation, _ = at_work(inline)
    agent = operation.agent_id
    cancel(inline, operation)
    for _ in range(2):
        current_app.tasks["agents.clear_berth"](agent_id=str(agent), generation=Agent.objects.get(pk=agent).generation)
    assert len(unfinished(operation)) == 1
    done = inline.finish(inline.submit())
    assert done.status == "succeeded"
    assert unfinished(done) == []


def test_a_lost_berth_full_of_traps_is_read_without_harm(inline: Inline, tmp_path: Path) -> None:
    operation, checkout = at_work(inline)
    ran = tmp_path / "ran"
    os.mkfifo(checkout / "fifo")
    (checkout / "root").symlink_to("/")
    (checkout / "passwd").symlink_to("/etc/passwd")
    with (checkout / "giant").open("wb") as giant:
        giant.truncate(1 << 40)
    (checkout / "node_modules").mkdir()
    (checkout / "node_modules" / "dependency.js").write_text("")
    (checkout / ".GIT").mkdir()
    (checkout / ".GIT" / "config").write_text(f"[core]\nfsmonitor = touch {ran}\n")
    shutil.rmtree(checkout / ".git")
    (checkout / ".git").write_text("gitdir: /etc")
    (checkout / 'quo"ted name.py').write_text("x = 1\n")
    (checkout / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    (checkout / "tool").write_text("#!/bin/sh\n")
    (checkout / "tool").chmod(0o4755)
    (checkout / "test_calc.py").unlink()
    lose_the_sandbox(inline, operation)
    inline.run(until=lambda: bool(unfinished(operation)))
    (label,) = unfinished(operation)
    name = vault.refs(vault=store_of(operation), operation_id=operation.pk)[label]
    listed = subprocess.run(
        ["git", f"--git-dir={store_of(operation).path}", "ls-tree", "-r", "-z", name],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    modes = {line.partition("\t")[2]: line[:6] for line in listed.strip("\0").split("\0")}
    assert modes == {"calc.py": "100644", "notes/new.txt": "100644", 'quo"ted name.py': "100644", "tool": "100755"}
    assert not ran.exists()
    assert Path("/etc/passwd").exists()


def work(*arguments: str) -> str:
    out = StringIO()
    call_command("work", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_work_is_listed_and_had_back_by_one_command(inline: Inline, tmp_path: Path) -> None:
    operation, _ = at_work(inline)
    cancel(inline, operation)
    inline.run()
    (label,) = unfinished(operation)
    assert f"{operation.pk}  cancelled" in work("list")
    assert label in work("list")
    assert {row["label"] for row in json.loads(work("list", "--json"))} >= {label}

    said = work("restore", str(operation.pk), "--to", str(tmp_path / "back"))
    assert label in said, "without a label the latest unfinished state"
    assert (tmp_path / "back" / "calc.py").read_bytes() == EDITED

    def git(*arguments: str, place: str = "back") -> str:
        done = subprocess.run(["git", *arguments], cwd=tmp_path / place, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    assert git("status", "--porcelain") == ""
    assert git("branch", "--show-current").endswith(label)
    assert git("diff", "--name-only", "HEAD^", "HEAD").split() == ["calc.py", "notes/new.txt"], "on its base"

    turn = next(row["label"] for row in json.loads(work("list", "--json")) if row["label"].startswith("turn-"))
    work("restore", str(operation.pk), "--to", str(tmp_path / "bare"), "--bare", "--label", turn)
    assert "return a - b" in git("show", "HEAD:calc.py", place="bare")
    with pytest.raises(CommandError, match="is there already"):
        work("restore", str(operation.pk), "--to", str(tmp_path / "back"))
    with pytest.raises(CommandError, match="keeps nothing labelled"):
        work("restore", str(operation.pk), "--to", str(tmp_path / "x"), "--label=--upload-pack=touch")
    with pytest.raises(CommandError, match="there is no operation"):
        work("restore", "00000000-0000-4000-8000-000000000000", "--to", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_kept_work_of_operations_that_ended_long_ago_is_dropped_and_no_other(inline: Inline, settings: Any) -> None:
    old, _ = at_work(inline)
    cancel(inline, old)
    inline.run()
    fresh, _ = at_work(inline)
    cancel(inline, fresh)
    running, _ = at_work(inline)
    inline.queued()
    now = timezone.now()
    Operation.objects.filter(pk=old.pk).update(completed_at=now - timedelta(days=31))
    Operation.objects.filter(pk=running.pk).update(created_at=now - timedelta(days=100))

    def kept() -> set[object]:
        return {state.operation.pk for state in retention.kept()}

    settings.KEEP_WORK_DAYS = 0
    assert retention.forget_old(now=now) == 0, "0 keeps for ever"
    settings.KEEP_WORK_DAYS = 30
    before = kept()
    assert {old.pk, fresh.pk, running.pk} <= before
    current_app.tasks["cleanup.tidy_vaults"](host=settings.HOST_NAME)
    assert kept() == before - {old.pk}
    assert retention.forget_old(now=now) == 0


def test_looking_for_kept_work_makes_no_vault(inline: Inline) -> None:
    operation = inline.submit()
    assert retention.kept_of(operation) == []
    assert not (Path(settings.DATA) / "vaults").exists()
    with pytest.raises(CommandError, match="keeps nothing"):
        work("restore", str(operation.pk), "--to", "nowhere")
