"""How a run reaches the gateway: the chain of models as seen from a run, with its token in place of the keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.conf import settings

from agents.gateway import tokens
from agents.gateway.tokens import Run
from agents.providers import Dialect, ModelChain, read_chain

TOKEN_TTL_S = 2 * 3600.0  # a stage ends after half an hour; tokens are withdrawn with their run
BERTH_HOST = "gateway.moorage"  # what a berth calls the gateway; its egress proxy knows the way

_BASES = {Dialect.OPENAI: "/openai/v1", Dialect.ANTHROPIC: "/anthropic", Dialect.OLLAMA: "/ollama"}


def chain_for(run: Run, *, now: datetime) -> ModelChain | None:
    """The configured chain, through the gateway and with a fresh run token; None where no model is configured.

    Raises :class:`agents.providers.NotConfigured` for a chain that cannot be read.
    """
    chain = read_chain(settings.MODEL_ENVIRONMENT, keyless=True)
    if chain is None:
        return None
    labels = list(dict.fromkeys(model.label for model in chain.models))
    token = tokens.issue(run, models=labels, now=now, ttl_s=TOKEN_TTL_S)
    through = tuple(
        replace(model, base_url=f"{settings.GATEWAY_URL}{_BASES[model.dialect]}", api_key=token)
        for model in chain.models
    )
    return replace(chain, models=through, timeout_s=settings.MODEL_TIMEOUT_S)


def berth_environment(token: str) -> dict[str, str]:
    """What a program inside a berth is told: where models are, and its token as the key of each provider."""
    base = f"http://{BERTH_HOST}"
    return {
        "OPENAI_BASE_URL": base + _BASES[Dialect.OPENAI],
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": base + _BASES[Dialect.ANTHROPIC],
        "ANTHROPIC_API_KEY": token,
    }
