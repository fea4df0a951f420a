"""The gateway between a test and scripted providers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.utils import timezone

from agents.gateway import tokens
from agents.gateway.endpoint import Patience
from agents.gateway.models import Account
from agents.gateway.tokens import Run
from tests.fakes.llm_server import LlmServer
from tests.gateway_server import gateway_server

KEY = "sk-the-providers-own-key"
PATHS = {
    "chat": "/openai/v1/chat/completions",
    "responses": "/openai/v1/responses",
    "messages": "/anthropic/v1/messages",
    "ollama": "/ollama/api/chat",
}
MODELS = {"chat": "gpt-5", "responses": "gpt-5", "messages": "claude-haiku-4-5", "ollama": "local"}
LABELS = ["openai/gpt-5", "anthropic/claude-haiku-4-5", "ollama/local"]


@dataclass
class Client:
    """Asks the gateway at ``url`` with one run's token."""

    url: str
    token: str
    run: Run

    def ask(
        self, wire: str = "chat", *, text: str = "Hello.", output: int = 100, headers: dict[str, str] | None = None,
        timeout_s: float = 20.0, **more: Any,
    ) -> httpx.Response:  # fmt: skip
        content = json.dumps(question(wire, text=text, output=output) | more)
        sent = self.headers if headers is None else headers
        return httpx.post(self.url + PATHS[wire], content=content, headers=sent, timeout=timeout_s, trust_env=False)

    @contextmanager
    def streaming(self, wire: str = "chat", *, text: str = "Hello.") -> Iterator[httpx.Response]:
        """The same question, its answer to be read as it comes."""
        body = question(wire, text=text) | {"stream": True}
        sent = httpx.stream("POST", self.url + PATHS[wire], json=body, headers=self.headers, trust_env=False)
        with sent as answer:
            yield answer

    @property
    def headers(self) -> dict[str, str]:
        """How it says who it is."""
        return {"authorization": f"Bearer {self.token}"}


def question(wire: str, *, text: str = "Hello.", output: int = 100) -> dict[str, Any]:
    """A request in a dialect, whose answer has at most so many tokens."""
    body: dict[str, Any] = {"model": MODELS[wire], "messages": [{"role": "user", "content": text}]}
    match wire:
        case "responses":
            return {"model": MODELS[wire], "input": text, "max_output_tokens": output}
        case "ollama":
            return body | {"options": {"num_predict": output}}
        case _:
            return body | {"max_tokens": output}


def booked() -> tuple[int, int]:
    """Held and spent of all accounts of the day."""
    day = Account.objects.get(scope="day")
    return day.held_nanos, day.spent_nanos


Make = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


@pytest.fixture
def configured(server: LlmServer, settings: Any, tmp_path: Any) -> None:
    settings.MODEL_ENVIRONMENT = {
        "MOORAGE_MODELS": "openai:gpt-5,anthropic:claude-haiku-4-5,ollama:local",
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url("openai"),
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": server.base_url("anthropic"),
        "OLLAMA_BASE_URL": server.base_url("ollama"),
    }
    settings.MODEL_TIMEOUT_S = 10
    settings.BUDGET = {}
    settings.REDIS_URL = f"unix://{tmp_path}/absent.sock"


@pytest.fixture
def patience() -> Patience:
    """How long the gateway waits for whom; tests that need another one name it."""
    return Patience()


@pytest.fixture
def make_client(transactional_db: None, configured: None, patience: Patience) -> Iterator[Make]:
    with gateway_server(patience) as url:

        def make(*, run: Run | None = None, models: list[str] | None = None, ttl_s: float = 60.0) -> Client:
            run = run or Run(run_id=uuid.uuid4(), lineage=uuid.uuid4().hex)
            return Client(url, tokens.issue(run, models=models or LABELS, now=timezone.now(), ttl_s=ttl_s), run)

        yield make
