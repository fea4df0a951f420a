"""What axe finds on a page as it stands: WCAG A and AA, of weight serious or critical."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).parent / "axe"
# The fields of the page's own rules; the result is cut to what a person needs to find the fault.
_RUN = """async () => {
  const found = await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]});
  return found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).flatMap(
    (each) => each.nodes.slice(0, 5).map((node) => `${each.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
}"""


@cache
def _axe() -> str:
    return (AXE / "axe.min.js").read_text("utf-8")


def serious(page: Page) -> list[str]:
    """One line per finding; none when all is well. The script is evaluated past the content security policy."""
    page.evaluate(_axe())
    return list(page.evaluate(_RUN))
