"""The logs of steps for people: the end of one as markup, and all that is kept as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.safestring import SafeString

from events.ansi import marked
from events.plain_text import plain, tail
from operations.models import Operation, Step

SHOWN = 20_000  # characters shown of the log of a stage that runs or failed
FINISHED_SHOWN = 4_000  # of one that is done


@dataclass(frozen=True, slots=True)
class ShownLog:
    """The end of a log; ``mark`` differs whenever something else would be shown."""

    html: SafeString
    cut: bool
    lines: int
    live: bool
    mark: str


def shown(step: Step, *, limit: int = SHOWN) -> ShownLog:
    """The last ``limit`` characters, colours as classes."""
    kept, cut = tail(step.log, limit=limit)
    live = step.outcome == Step.Outcome.RUNNING
    mark = hashlib.blake2b(f"{step.outcome}{len(step.log)}\n{kept}".encode(), digest_size=12).hexdigest()
    return ShownLog(html=marked(kept), cut=cut, lines=step.log.count("\n"), live=live, mark=mark)


def text(step: Step) -> str:
    """All that is kept of one log, harmless also where it is printed on a terminal."""
    return plain(step.log)


def whole(operation: Operation) -> Iterator[str]:
    """The logs of all steps, first to last, each under a line that says which it is."""
    for step in operation.steps.order_by("pk").iterator(chunk_size=4):
        began = f"{step.started_at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"==== {step.get_stage_display()}, attempt {step.attempt}: {step.outcome}, from {began}\n{text(step)}\n"
