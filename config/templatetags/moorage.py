"""The console's one template filter."""

from __future__ import annotations

from django import template

from events.plain_text import plain as made_plain

register = template.Library()


@register.filter
def plain(value: object) -> str:
    """Text from outside without terminal escapes and unseen characters; Django's escaping still applies."""
    return made_plain(str(value or ""))
