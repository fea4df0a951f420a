"""What the console's templates need beyond Django's."""

from __future__ import annotations

from django import template

from events.plain_text import plain as made_plain
from operations import delivered_page
from operations.models import Operation

register = template.Library()


@register.filter
def plain(value: object) -> str:
    """Text from outside without terminal escapes and unseen characters; Django's escaping still applies."""
    return made_plain(str(value or ""))


@register.filter
def cores(millis: int) -> str:
    """Thousandths of a core as cores: 1500 is 1.5."""
    return f"{round(millis / 1000, 2):g}"


@register.filter
def thousands(amount: int) -> str:
    """1536 as 1,536."""
    return f"{amount:,}"


@register.inclusion_tag("moorage/delivered.html")
def delivered(operation: Operation) -> dict[str, object]:
    """The pull requests of an operation: state, checks, rounds."""
    return {"pull_requests": delivered_page.of(operation)}
