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
BERTH_URL = f"http://{BERTH_HOST}"  # the bridge of a command that is told it opens a door of its own there

_BASES = {Dialect.OPENAI: "/openai/v1", Dialect.ANTHROPIC: "/anthropic", Dialect.OLLAMA: "/ollama"}


def configured() -> ModelChain | None:
    """The configured chain without its keys; None where no model is configured.

    Raises :class:`agents.providers.NotConfigured` for a chain that cannot be read.
    """
    return read_chain(settings.MODEL_ENVIRONMENT, keyless=True)


def labels_of(chain: ModelChain) -> list[str]:
    """Its models' labels, each once."""
    return list(dict.fromkeys(model.label for model in chain.models))


def chain_for(run: Run, *, now: datetime) -> ModelChain | None:
    """The configured chain, through the gateway and with a fresh run token; None where no model is configured.

    Raises :class:`agents.providers.NotConfigured` for a chain that cannot be read.
    """
    chain = configured()
    if chain is None:
        return None
    token = tokens.issue(run, models=labels_of(chain), now=now, ttl_s=TOKEN_TTL_S)
    through = tuple(
        replace(model, base_url=f"{settings.GATEWAY_URL}{_BASES[model.dialect]}", api_key=token)
        for model in chain.models
    )
    return replace(chain, models=through, timeout_s=settings.MODEL_TIMEOUT_S)


def berth_url(dialect: Dialect) -> str:
    """Where a program inside a berth finds the models of a dialect: by plain HTTP, which ends at its proxy."""
    return f"{BERTH_URL}{_BASES[dialect]}"
