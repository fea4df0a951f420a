"""Several people at one terminal, each in a browser of their own."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from sessions.models import Terminal
from tests.browser.conftest import Visitor
from tests.browser.terminals.page import address, control, enter, type_line, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]


def test_second_person_watches_takes_over_and_the_first_is_told_and_refused(
    visitor: Visitor, second: Visitor, terminal: Terminal
) -> None:
    first, other = enter(visitor, terminal), second.page
    second.go(address(terminal))
    expect(control(other)).to_have_text("ada is in control. You are watching.")
    expect(first.locator("[data-people]")).to_contain_text("bob watching")
    type_line(first, "echo from' 'the' 'first")
    until(other, "from the first")
    other.get_by_role("button", name="Into the terminal").click()
    other.keyboard.type("echo lost")
    expect(other.locator("[data-words]")).to_have_text("You are watching: take control to type.")
    other.get_by_role("button", name="Take control").click()
    expect(control(other)).to_contain_text("You are in control")
    expect(control(first)).to_have_text("bob is in control. You are watching.")
    expect(first.locator("[data-words]")).to_have_text("You are not in control any more.")
    type_line(first, "echo re''fused")
    expect(first.locator("[data-words]")).to_have_text("You are watching: take control to type.")
    type_line(other, "echo from' 'the' 'second")
    seen = until(first, "from the second")
    assert "refused" not in seen
    assert "lost" not in seen
    first.get_by_role("button", name="Ask for control").click()
    expect(other.locator("[data-people]")).to_contain_text("asks for control")
    other.get_by_role("button", name="Hand control to ada").click()
    expect(control(first)).to_contain_text("You are in control")
    assert visitor.complaints == second.complaints == []


def test_guest_is_let_in_and_taken_off_in_the_console(
    visitor: Visitor, terminal: Terminal, django_user_model: Any
) -> None:
    django_user_model.objects.create(username="eve")
    page = enter(visitor, terminal)
    page.get_by_label("User name").fill("eve")
    page.get_by_label("may type").check()
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("eve may type from now on.")
    page.get_by_role("button", name="Take eve off").click()
    expect(page.locator(".messagelist")).to_contain_text("eve is taken off within a second.")
    page.get_by_label("User name").fill("nobody")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("here is no active user 'nobody'")
    assert visitor.complaints == []
