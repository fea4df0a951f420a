"""An operation is watched at work, taken over, changed by hand in a terminal and handed back, all in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from operations.coding import engine
from operations.models import Operation
from sessions.models import SessionHost
from tests.browser.conftest import PASSWORD, Visitor
from tests.browser.terminals.page import control, type_line, until
from tests.browser.test_work_in_chromium import cluster
from tests.flows.inline import Inline
from tests.flows.repositories import make
from tests.flows.test_fences import in_thread, running, sleepy, up_to
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess

__all__ = ["cluster"]
pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis,
    pytest.mark.timeout(400),
]  # fmt: skip
SLOW_MS = 60_000


@pytest.fixture
def data_directory(data: Path, settings: Any) -> Path:
    """The cluster's and the session host's, of a short name."""
    settings.DATA = data
    return data


@pytest.fixture
def operator(cluster: Inline) -> Any:
    """Whose cluster it is, with a password and every right."""
    cluster.user.is_staff = cluster.user.is_superuser = True
    cluster.user.set_password(PASSWORD)
    cluster.user.save()
    return cluster.user


@pytest.fixture
def daemon(cluster: Inline, data: Path, settings: Any) -> Iterator[DaemonProcess]:
    """The session host of the cluster's machine."""
    process = DaemonProcess(data, host=settings.HOST_NAME)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log.read_text()


def test_an_operation_is_watched_taken_over_changed_in_a_terminal_and_handed_back(
    visitor: Visitor, cluster: Inline, repositories: Path
) -> None:
    flag, page = repositories / "hold", visitor.page
    operation = cluster.submit(cluster.project(make(repositories / "calc.git", sleepy(flag))))
    up_to(cluster, operation, "test")
    flag.touch()
    eventually(lambda: SessionHost.objects.exists())
    turn = Operation.objects.get(pk=operation.pk).turn
    runner = in_thread(lambda: engine.run_stage(operation.pk, turn=turn, worker="worker:a"))
    eventually(lambda: running(operation, "test"))
    address = reverse("admin:operations_operation_change", args=[operation.pk])

    visitor.go(address)
    page.get_by_role("button", name="Watch it work").click()
    expect(control(page)).to_contain_text("Nobody types here", timeout=SLOW_MS)
    until(page, "[test] $", within_s=60)
    expect(page.get_by_role("button", name="Take control")).to_have_count(0)
    expect(page.get_by_role("button", name="Ask for control")).to_have_count(0)

    visitor.go(address)
    page.get_by_role("button", name="Take over the berth").click()
    top = page.locator("[data-part=top]")
    expect(top).to_contain_text("ada works in the berth", timeout=SLOW_MS)
    runner.join(60)
    page.get_by_role("button", name="Open a terminal in the berth").click()
    expect(control(page)).to_contain_text("You are in control", timeout=SLOW_MS)
    type_line(page, "echo '# by hand' >> tree/calc.py && echo chan' 'ged")
    until(page, "chan ged", within_s=60)

    flag.unlink()
    visitor.go(address)
    page.get_by_role("button", name="Hand the berth back").click()
    expect(page.locator(".messagelist")).to_contain_text("Handed back")
    page.evaluate("window.sameDocument = true")
    cluster.wake(operation)
    assert cluster.finish(operation).status == Operation.Status.SUCCEEDED
    expect(top.locator(".badge").first).to_have_text("succeeded", timeout=SLOW_MS)
    expect(page.locator("[data-part=diff]")).to_contain_text("# by hand")
    assert page.evaluate("window.sameDocument") is True
    assert visitor.complaints == []


def test_a_berth_taken_over_before_there_is_code_is_promised_and_can_be_given_up(
    visitor: Visitor, cluster: Inline, repositories: Path
) -> None:
    operation, page = cluster.submit(), visitor.page
    up_to(cluster, operation, "plan")
    visitor.go(reverse("admin:operations_operation_change", args=[operation.pk]))
    page.get_by_role("button", name="Take over the berth").click()
    top = page.locator("[data-part=top]")
    expect(top).to_contain_text("ada is given the berth once the plan is made")
    page.get_by_role("button", name="Give that up").click()
    expect(page.get_by_role("button", name="Take over the berth")).to_be_visible()
    page.get_by_role("button", name="Take over the berth").click()
    expect(top).to_contain_text("ada is given the berth once the plan is made")
    cluster.wake(operation)
    assert cluster.finish(operation).status == Operation.Status.WAITING
    expect(top).to_contain_text("ada works in the berth", timeout=SLOW_MS)
    page.get_by_role("button", name="Hand the berth back").click()
    expect(page.locator(".messagelist")).to_contain_text("Handed back")
    cluster.wake(operation)
    assert cluster.finish(operation).status == Operation.Status.SUCCEEDED
    assert visitor.complaints == []
