"""Every page of the console: barriers, width, keyboard, hostile text, other hosts, the content security policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from playwright.sync_api import Page

from agents.models import Agent
from events.models import Event
from operations.models import Operation, Step
from resources import fleet
from resources.models import Host
from tests import factories
from tests.browser import rows
from tests.browser.accessible import serious
from tests.browser.conftest import Visitor
from tests.browser.test_pages import page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_chromium, pytest.mark.needs_redis]

# Looked at elsewhere: what a terminal or a recording needs a session host for (tests/browser/terminals).
NOT_HERE = re.compile(
    r"terminals_|_delete$|_history$|jsi18n|autocomplete|view_on_site|logout|_do$|_parts$|_log|_look$|open$"
)
KEYBOARD_STEPS = 60


@pytest.fixture
def world(operator: Any, data_directory: Any) -> dict[str, str]:
    """One of everything, named as nastily as it may be. Answers the addresses of the pages about single things."""
    nasty = rows.HOSTILE
    factories.host("node-1")
    agent = factories.running("python", name=nasty[:80])
    factories.agent("python", name="waits")
    broken = factories.agent("python", name="broken")
    error = {"code": "sandbox.failed", "detail": nasty, "remedy": nasty}
    Agent.objects.filter(pk=broken.pk).update(state="error", error=error)
    project = rows.project(operator)
    failed = rows.failed(operator, of=project, requirements=nasty, log=nasty)
    planned = rows.planned(operator, of=project, summary=nasty)
    asking = rows.asking(operator, of=project, kind="input_required", reason=nasty)
    underway, step = rows.running(operator, of=project, log=nasty)
    Step.objects.filter(pk=step.pk).update(agent=agent)
    Operation.objects.filter(pk=underway.pk).update(agent=agent)
    proposed = rows.pull_request(failed, head="a" * 40, base="b" * 40, title=nasty[:200])
    host = Host.objects.get()
    fleet.pause(actor="user:eve", reason=nasty[:300], now=timezone.now())
    things = {
        "agent": agent, "broken agent": broken, "project": project, "failed": failed, "planned": planned,
        "asking": asking, "running": underway, "pull request": proposed, "host": host,
        "event": Event.objects.latest("id"),
    }  # fmt: skip
    found = {name: page(thing) for name, thing in things.items()}
    return found | {
        "plan": reverse("admin:operations_operation_plan", args=[planned.pk]),
        "edit project": reverse("admin:operations_project_edit", args=[project.pk]),
        "search": reverse("admin:operations_operation_changelist") + "?q=" + "no-such-thing",
        "filtered": reverse("admin:agents_agent_changelist") + "?state__exact=error",
        "template": reverse("admin:template", args=["python"]),
        "template source": reverse("admin:template_tab", args=["python", "source"]),
        "template versions": reverse("admin:template_tab", args=["python", "versions"]),
        "template parents": reverse("admin:template_tab", args=["python", "parents"]),
        "template dependents": reverse("admin:template_tab", args=["python", "dependents"]),
        "template agents": reverse("admin:template_tab", args=["python", "agents"]),
        "not found": "/nowhere/",
    }


def of_no_single_thing(operator: Any) -> dict[str, str]:
    """The addresses of the console that need no key and are for looking at, as its URL table has them."""
    client, found = Client(), {}
    client.force_login(operator)
    for name in sorted(_names(get_resolver())):
        if NOT_HERE.search(name):
            continue
        try:
            address = reverse(f"admin:{name}")
        except NoReverseMatch:
            continue  # it wants a key: its page is among the things
        status = client.get(address).status_code
        assert status in {200, 302, 403, 405}, (name, status)
        if status == 200:
            found[name] = address
    return found


def _names(resolver: URLResolver) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver) and (entry.namespace in {None, admin.site.name}):
            yield from _names(entry)
        elif isinstance(entry, URLPattern) and entry.name:
            yield entry.name


def _news(visitor: Visitor) -> list[str]:
    """What went wrong since the last time, but for the page that is not there."""
    news, visitor.complaints[:] = [line for line in visitor.complaints if "status of 404" not in line], []
    return news


def by_keyboard(page: Page) -> str:
    """The tabulator comes into the page itself, and shows where it is; empty when it does."""
    for _ in range(KEYBOARD_STEPS):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "() => { const at = document.activeElement; return [Boolean(at?.closest('#content')),"
            " at ? getComputedStyle(at).outlineStyle : '', at?.tabIndex ?? 0]; }"
        )
        if seen[2] > 0:
            return "something comes before its turn"
        if seen[0]:
            return "" if seen[1] != "none" else "the focus is not seen"
    return "the keyboard does not come into the page"


@pytest.mark.timeout(900)  # some forty pages, each judged twice
def test_every_page_can_be_read_used_by_keyboard_and_trusted(
    world: dict[str, str], visitor: Visitor, operator: Any
) -> None:
    page, found = visitor.page, []
    pages = {**of_no_single_thing(operator), **world}
    assert len(pages) > 35, sorted(pages)
    for name, address in pages.items():
        answer = page.goto(visitor.site + address)
        assert answer is not None
        assert answer.status == (404 if name == "not found" else 200), (name, answer.status)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found += [f"{name}: {line}" for line in _news(visitor)]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of its literals
            found += [f"{name} {scheme}: {line}" for line in serious(page)]
        visitor.complaints.clear()  # the checker itself sets styles for a moment, which the policy refuses it
        found += [f"{name}: {fault}"] if (fault := by_keyboard(page)) else []
        if page.evaluate("window.hacked") or page.locator("a[href^='javascript:'], img[src='x'], [onerror]").count():
            found.append(f"{name}: hostile text acts")
        if "\x1b" in page.content():
            found.append(f"{name}: a terminal escape")
        page.set_viewport_size({"width": 400, "height": 900})
        width = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{name} is {width} pixels wide"] if width > 400 else []
        page.set_viewport_size({"width": 1280, "height": 900})
        found += [f"{name}: {line}" for line in _news(visitor)]
    assert not found, "\n".join(found)


def test_whoever_is_not_signed_in_or_may_not_finds_a_page_that_says_so(
    visitor: Visitor, django_user_model: Any
) -> None:
    page, found = visitor.page, []
    page.context.clear_cookies()
    for address, status in (("/admin/login/?next=/admin/", 200), ("/nowhere/", 404)):
        answer = page.goto(visitor.site + address)
        assert answer is not None
        assert answer.status == status
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found += [f"{address} {scheme}: {line}" for line in serious(page)]
        page.set_viewport_size({"width": 400, "height": 900})
        found += [address] if page.evaluate("document.documentElement.scrollWidth") > 400 else []
        page.set_viewport_size({"width": 1280, "height": 900})
    assert found == []
    assert page.get_by_role("link", name="To the harbour").get_attribute("href") == "/admin/"
