"""The gateway between a test and scripted providers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.utils import timezone

from agents.gateway import tokens
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
        body: dict[str, Any] = {"model": MODELS[wire], "messages": [{"role": "user", "content": text}]}
        match wire:
            case "responses":
                body = {"model": MODELS[wire], "input": text, "max_output_tokens": output}
            case "ollama":
                body |= {"options": {"num_predict": output}}
            case _:
                body["max_tokens"] = output
        sent = {"authorization": f"Bearer {self.token}"} if headers is None else headers
        content = json.dumps(body | more)
        return httpx.post(self.url + PATHS[wire], content=content, headers=sent, timeout=timeout_s, trust_env=False)


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
def make_client(transactional_db: None, configured: None) -> Iterator[Make]:
    with gateway_server() as url:

        def make(*, run: Run | None = None, models: list[str] | None = None, ttl_s: float = 60.0) -> Client:
            run = run or Run(run_id=uuid.uuid4(), lineage=uuid.uuid4().hex)
            return Client(url, tokens.issue(run, models=models or LABELS, now=timezone.now(), ttl_s=ttl_s), run)

        yield make
