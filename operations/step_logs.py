"""The logs of steps for people: the end of one as markup, and all that is kept as text."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Right
from django.utils import timezone
from django.utils.safestring import SafeString

from events import live
from events.ansi import marked
from events.plain_text import plain, tail
from operations.models import Operation, Step

SHOWN = 20_000  # characters shown of the log of a stage that runs or failed
FINISHED_SHOWN = 4_000  # of one that is done


@dataclass(frozen=True, slots=True)
class ShownLog:
    """The end of a log, and the cursor in its topic: how many characters were ``said`` in all."""

    html: SafeString
    cut: bool
    lines: int
    live: bool
    topic: str
    said: int


def shown(step: Step, *, limit: int = SHOWN) -> ShownLog:
    """The last ``limit`` characters, colours as classes."""
    kept, cut = tail(step.log, limit=limit)
    live = step.outcome == Step.Outcome.RUNNING
    return ShownLog(
        html=marked(kept), cut=cut, lines=step.log.count("\n"), live=live, topic=topic_of(step.pk), said=step.log_said,
    )  # fmt: skip


def topic_of(step_id: int) -> str:
    """The topic of the live stream that brings what a step says."""
    return f"log.{step_id}"


def store(step_id: int, kept: tuple[str, int], *, now: datetime) -> None:
    """Keep what a stage that runs has said until now (text, and characters in all), and tell who follows it."""
    text, said = kept
    Step.objects.filter(pk=step_id).update(log=text, log_said=said)
    tell(step_id, said, now=now)


def tell(step_id: int, said: int, *, now: datetime) -> None:
    """Tell the live stream how far a log has come, once it is stored. Whoever follows it reads the rest."""
    live.publish_raw(_wire(topic_of(step_id), said, {}, now=now))


class LogSource:
    """Logs for the live stream: what was said behind a cursor, which counts all characters that a step ever said."""

    def heads(self, topics: Collection[str]) -> dict[str, int]:
        """How much each step has said."""
        steps = {_step_id(topic): topic for topic in topics}
        return {steps[pk]: said for pk, said in Step.objects.filter(pk__in=list(steps)).values_list("pk", "log_said")}

    def behind(self, cursors: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """What each said since, as markup; of more than a page shows only the end, and ``reset``."""
        steps, now = {_step_id(topic): topic for topic in cursors}, timezone.now()
        rows = Step.objects.filter(pk__in=list(steps)).annotate(end=Right("log", 2 * SHOWN))
        for pk, outcome, said, end in rows.values_list("pk", "outcome", "log_said", "end"):
            after = cursors[steps[pk]]
            if said <= after:
                continue
            reset = said - after > SHOWN
            text = tail(end, limit=SHOWN)[0] if reset else end[-(said - after) :]
            data = {
                "from": after, "reset": reset, "live": outcome == Step.Outcome.RUNNING,
                "html": marked(text, after=end[: len(end) - len(text)]),
            }  # fmt: skip
            yield _wire(steps[pk], said, data, now=now)


def _step_id(topic: str) -> int:
    return int(topic.partition(".")[2])


def _wire(topic: str, said: int, data: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    timestamp = now.isoformat().replace("+00:00", "Z")
    return {"topic": topic, "seq": said, "kind": "log.said", "timestamp": timestamp, "data": data}


def text(step: Step) -> str:
    """All that is kept of one log, harmless also where it is printed on a terminal."""
    return plain(step.log)


def whole(operation: Operation) -> Iterator[str]:
    """The logs of all steps, first to last, each under a line that says which it is."""
    for step in operation.steps.order_by("pk").iterator(chunk_size=4):
        began = f"{step.started_at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"==== {step.get_stage_display()}, attempt {step.attempt}: {step.outcome}, from {began}\n{text(step)}\n"
