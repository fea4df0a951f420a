"""Logs in the live stream: what was said behind a cursor, as it is stored, by whoever may see the operation."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.utils import timezone

from events import policy as live_policy
from events import sources
from operations import step_logs
from operations.coding.stage_log import StageLog
from operations.models import Step
from operations.step_logs import SHOWN
from tests.browser import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def step(admin_user: Any) -> Step:
    return rows.running(admin_user, of=rows.project(admin_user))[1]


def since(step: Step, cursor: int) -> list[dict[str, Any]]:
    """The messages that a client behind that cursor gets."""
    found = sources.behind({step_logs.topic_of(step.pk): cursor})
    return [json.loads(message.text) for message in found]


def text_of(message: dict[str, Any]) -> str:
    return re.sub("<[^>]+>", "", message["payload"]["log"]["html"])


def test_a_client_gets_what_was_said_behind_its_cursor_and_nothing_twice(step: Step) -> None:
    log, shown, cursor = StageLog(), "", 0
    for round_ in range(50):
        for number in range(round_ * 7 % 11):
            log.say(f"{round_}-{number} " + "é" * (number * 37))
        step_logs.store(step.pk, log.kept(), now=timezone.now())
        for message in since(step, cursor):
            assert message["payload"]["log"]["from"] == cursor
            shown, cursor = shown + text_of(message), message["seq"]
    assert shown == log.text()
    assert since(step, cursor) == []
    assert sources.heads([step_logs.topic_of(step.pk)]) == {step_logs.topic_of(step.pk): cursor}


def test_of_a_flood_comes_the_end_also_when_the_middle_of_the_log_is_cut_out(step: Step) -> None:
    log = StageLog()
    for number in range(60_000):
        log.say(f"line {number}")
    step_logs.store(step.pk, log.kept(), now=timezone.now())
    (message,) = since(step, 100)
    assert message["payload"]["log"]["reset"] is True
    assert len(text_of(message)) <= SHOWN
    assert text_of(message).splitlines()[-1] == "line 59999"
    log.say("one more")
    step_logs.store(step.pk, log.kept(), now=timezone.now())
    (then,) = since(step, message["seq"])
    assert (text_of(then), then["payload"]["log"]["reset"]) == ("one more\n", False)


def test_a_colour_goes_on_from_one_message_to_the_next_and_what_acts_is_inert(step: Step) -> None:
    log = StageLog()
    log.say("\x1b[31mred begins")
    first = log.kept()
    log.say(rows.HOSTILE)
    step_logs.store(step.pk, log.kept(), now=timezone.now())
    html = since(step, first[1])[0]["payload"]["log"]["html"]
    assert html.startswith('<span class="ansi-1">')
    assert "<img" not in html
    assert "\x1b" not in html


def test_a_log_is_followed_by_whoever_may_see_its_operation(
    step: Step, admin_user: Any, django_user_model: Any
) -> None:
    topic = step_logs.topic_of(step.pk)
    stranger = django_user_model.objects.create_user("eve")
    assert live_policy.may_view(admin_user, topic)
    assert not live_policy.may_view(stranger, topic)
    for odd in ("log.0", "log.-1", "log.1e3", "log.٣", f"log.{'9' * 40}", "log", "log.abc"):
        assert not live_policy.may_view(admin_user, odd), odd
