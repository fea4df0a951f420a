"""A size that somebody asks for instead of the template's: as far as the template grants it and a host can lend it.

What may be chosen of each amount lies between the least that the template is content with and ``size.at_most``; where
it says neither, the template's own figure is all that is granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Max

from agents import outfits, sizes
from agents.outfits import Outfit
from events.faults import Fault, FaultClass
from resources.models import Host

WORDS = {"memory_mb": "MB of memory", "cpu_millis": "thousandths of a core", "disk_mb": "MB of disk"}


class SizeNotGranted(Fault):
    """The template does not let a request choose that size."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.size_not_granted"
    http_status = 400


class SizeNotLent(Fault):
    """No host could lend so much even if it were empty."""

    fault_class = FaultClass.CONFIGURATION
    code = "host.size_not_lent"
    http_status = 400


def chosen(template: str, size: Mapping[str, Any]) -> Outfit:
    """The template as it is now, in the size asked for. Raises like :func:`check`, and the template's faults."""
    fitted = outfits.outfit(template)
    check(fitted, size)
    return fitted.sized(size)


def bounds(fitted: Outfit) -> dict[str, tuple[int, int]]:
    """The least and the most that a request may choose of each amount; without what only a host decides."""
    size = fitted.spec["size"]
    most = {name: value for name, value in size.get("at_most", {}).items() if isinstance(value, int)}
    return {
        name: (fitted.least.get(name, size[name]), max(size[name], most.get(name, 0)))
        for name in sizes.AMOUNTS
        if isinstance(size[name], int)
    }


def in_words(size: Mapping[str, int]) -> str:
    """``2,048 MB of memory, 2 cores``; empty where nothing was chosen."""
    return ", ".join(
        f"{amount / 1000:g} core{'s' * (amount != 1000)}" if name == "cpu_millis" else f"{amount:,} {WORDS[name]}"
        for name, amount in size.items()
    )


def check(fitted: Outfit, size: Mapping[str, Any]) -> None:
    """Raises SizeNotGranted, or SizeNotLent for what no host has. Amounts that a host decides are asked about there."""
    for name, wanted in size.items():
        if name not in sizes.AMOUNTS or not isinstance(wanted, int) or isinstance(wanted, bool):
            raise SizeNotGranted(
                f"{name[:40]!r} of a size is not a whole number of {', '.join(sizes.AMOUNTS)}",
                remedy=f"Choose among {', '.join(sizes.AMOUNTS)}, each a whole number.", pointer="/size",
            )  # fmt: skip
    granted = bounds(fitted)
    for name, wanted in size.items():
        least, most = granted.get(name, (wanted, wanted))
        if not least <= wanted <= most:
            may = f"Choose from {least} to {most}" if least < most else "Leave it out"
            raise SizeNotGranted(
                f"the template {fitted.name!r} does not grant {wanted} {WORDS[name]}",
                remedy=f"{may}, choose another template, or ask whoever keeps this one to set `size.at_most.{name}`.",
                pointer=f"/size/{name}", least=least, most=most,
            )  # fmt: skip
    _check_lent(size)


def _check_lent(size: Mapping[str, int]) -> None:
    """What no host has is refused rather than waited for; before the first host is there, nobody knows."""
    lent = Host.objects.aggregate(**{name: Max(name) for name in sizes.AMOUNTS})
    for name, wanted in size.items():
        most = lent[name]
        if most is not None and wanted > most:
            raise SizeNotLent(
                f"no host lends {wanted} {WORDS[name]}: the largest lends {most}",
                remedy=f"Choose at most {most}, or let a host lend more.", pointer=f"/size/{name}", most=most,
            )  # fmt: skip
