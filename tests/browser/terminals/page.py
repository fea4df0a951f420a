"""What a person sees and does on the page of a terminal."""

from __future__ import annotations

import re
from typing import Any

from django.urls import reverse
from playwright.sync_api import Page, expect

from sessions.models import Terminal
from tests.browser.conftest import Visitor
from tests.patience import eventually

PROMPT = re.compile(r"[$#] ?$", re.MULTILINE)


def address(terminal: Terminal) -> str:
    return reverse("admin:terminals_terminal_change", args=[terminal.pk])


def text(page: Page) -> str:
    """All that the shown terminal holds."""
    return str(page.evaluate("window.moorageTerminals?.text() ?? ''"))


def until(page: Page, wanted: str, *, within_s: float = 60) -> str:
    """Its text, once ``wanted`` is in it."""
    return str(eventually(lambda: (seen := text(page)) and wanted in seen and seen, within_s=within_s))


def control(page: Page) -> Any:
    return page.locator("[data-control].control")


def enter(visitor: Visitor, terminal: Terminal) -> Page:
    """On its page, in control, behind the prompt."""
    visitor.go(address(terminal))
    expect(control(visitor.page)).to_contain_text("You are in control")
    eventually(lambda: PROMPT.search(text(visitor.page)))
    return visitor.page


def type_line(page: Page, line: str) -> None:
    page.get_by_role("button", name="Into the terminal").click()
    page.keyboard.type(f"{line}\n")


# Axe's two commonest findings, for what this page adds: text below 4.5:1, and controls without a name.
FAINT = """() => {
    const parts = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = parts(getComputedStyle(each).backgroundColor);
            if (colour.length < 4 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const element of document.querySelectorAll('.terminals *')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.checkVisibility() || element.closest('style, .xterm-helpers, .xterm-cursor')) continue;
        if (element.matches(':disabled')) continue;
        const [front, back] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (ratio < 4.45) found.push(`${element.className}: ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return found;
}"""
NAMELESS = """() => [...document.querySelectorAll('.terminals :is(button, a, input, textarea)')]
    .filter((each) => each.checkVisibility())
    .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.[0]?.textContent.trim()))
    .map((each) => each.outerHTML.slice(0, 120))"""
