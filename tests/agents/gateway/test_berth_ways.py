"""What an agent program is given of the configured models, and what is seen of the calls it makes."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.gateway import berth_ways, calls
from agents.gateway.faults import BadCall
from agents.gateway.models import ModelCall
from agents.gateway.tokens import Run
from events.faults import Remembered

pytestmark = pytest.mark.django_db
GATEWAY = "http://gateway.moorage"
LOCAL = {"OLLAMA_HOST": f"{GATEWAY}/ollama", "OLLAMA_API_BASE": f"{GATEWAY}/ollama", "OLLAMA_MODEL": "qwen3"}
BY_OPENAI = {"OPENAI_BASE_URL": f"{GATEWAY}/openai/v1", "OPENAI_MODEL": "gpt-5"}


@pytest.mark.parametrize(
    ("chain", "environment", "keys"),
    [
        ("openai:gpt-5,openai:gpt-5-mini", BY_OPENAI, {"OPENAI_API_KEY"}),
        (
            "anthropic:claude-haiku-4-5",
            {"ANTHROPIC_BASE_URL": f"{GATEWAY}/anthropic", "ANTHROPIC_MODEL": "claude-haiku-4-5"},
            {"ANTHROPIC_API_KEY"},
        ),
        (
            "ollama:qwen3",
            {**LOCAL, "OPENAI_BASE_URL": f"{GATEWAY}/ollama/v1", "OPENAI_MODEL": "qwen3"},
            {"OLLAMA_API_KEY", "OPENAI_API_KEY"},
        ),
        ("ollama:qwen3,openai:gpt-5", {**LOCAL, **BY_OPENAI}, {"OLLAMA_API_KEY", "OPENAI_API_KEY"}),
    ],
)
def test_each_dialects_programs_find_their_model_in_their_environment(
    settings: Any, chain: str, environment: dict[str, str], keys: set[str]
) -> None:
    settings.MODEL_ENVIRONMENT = {"MOORAGE_MODELS": chain, "OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"}
    run = Run(run_id=uuid.uuid4(), lineage="x")
    with berth_ways.opened(run, ttl_s=60, now=timezone.now()) as way:
        assert way.environment == {"MOORAGE_GATEWAY": GATEWAY, **environment}
        assert set(way.secrets) == keys
        assert all(value.startswith("mrt_") for value in way.secrets.values())


def test_the_model_that_is_called_is_told_once_and_while_it_answers(settings: Any) -> None:
    settings.MODEL_ENVIRONMENT = {"MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": "sk-1"}
    told: list[str] = []
    run = Run(run_id=uuid.uuid4(), lineage="x")
    now = timezone.now()
    with berth_ways.opened(run, ttl_s=60, now=now, called=told.append) as way:
        way.usage()
        assert told == []
        call = ModelCall.objects.create(
            token=way.token, run_id=run.run_id, lineage="x", model="openai/gpt-5", price="p", held_nanos=0,
            held_tokens=0, digest="d", day=now.date(), created_at=now,
        )  # fmt: skip
        for _look in range(2):
            way.usage()
        assert told == ["openai/gpt-5"] * 2  # it is still answering
        call.state = ModelCall.State.SETTLED
        call.save()
        way.usage()
        assert told == ["openai/gpt-5"] * 2


def test_a_refused_request_stops_a_program_that_failed_for_it_and_no_other(settings: Any) -> None:
    settings.MODEL_ENVIRONMENT = {"MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": "sk-1"}
    now = timezone.now()
    with berth_ways.opened(Run(run_id=uuid.uuid4(), lineage="x"), ttl_s=60, now=now) as way:
        with pytest.raises(BadCall):
            calls.admit(
                token=way.secrets["OPENAI_API_KEY"], path="/openai/v1/responses", headers={},
                body=b'{"model": "gpt-5", "tools": [{"type": "web_search"}]}', now=now + timedelta(seconds=1),
            )  # fmt: skip
        way.raise_if_halted()
        with pytest.raises(Remembered, match="web_search") as refused:
            way.raise_if_refused()
        assert refused.value.code == "gateway.bad_call"
