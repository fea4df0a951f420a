"""Where a call goes on to: the configured model, its provider's address, and the key that only this module attaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from django.conf import settings

from agents.gateway.faults import ModelNotAllowed
from agents.gateway.models import RunToken
from agents.gateway.wires import Asked
from agents.providers import Dialect, Model, read_chain

_HOMES = {
    Dialect.OPENAI: "https://api.openai.com/v1",
    Dialect.ANTHROPIC: "https://api.anthropic.com",
    Dialect.OLLAMA: "http://127.0.0.1:11434",
}
# Of a client's headers only these say something to the provider; all others stay here, authentication first of all.
_ONWARD = ("anthropic-version", "anthropic-beta", "openai-beta", "idempotency-key")
_BACK = ("content-type", "retry-after", "retry-after-ms", "request-id", "x-request-id")
_BACK_BEGINNINGS = ("x-ratelimit-", "anthropic-ratelimit-")


def model_for(asked: Asked, token: RunToken) -> Model:
    """The configured model. Raises :class:`ModelNotAllowed` for one that this run, or nobody, may ask."""
    allowed = set(token.models_allowed)
    chain = read_chain(settings.MODEL_ENVIRONMENT)
    for model in chain.models if chain else ():
        if model.label == asked.label and asked.label in allowed:
            return model
    # The refusal is kept and shown, and PostgreSQL keeps no NUL and no half of a surrogate pair.
    shown = asked.label if asked.label.isprintable() else ascii(asked.label)
    raise ModelNotAllowed(f"This run may not ask {shown}.", allowed=sorted(allowed))


def url_of(model: Model, asked: Asked) -> str:
    """The provider's endpoint."""
    return (model.base_url or _HOMES[model.dialect]).rstrip("/") + asked.endpoint.upstream_path


def service_of(model: Model) -> str:
    """The provider's name among the breakers."""
    return f"{model.dialect} at {urlsplit(model.base_url or _HOMES[model.dialect]).netloc}"


def headers_to(model: Model, given: Mapping[str, str]) -> dict[str, str]:
    """The request's headers, with the key."""
    headers = {name: given[name] for name in _ONWARD if name in given}
    # Compressed, a stream would wait for its blocks to fill.
    headers |= {"content-type": "application/json", "accept-encoding": "identity", "accept": "*/*"}
    match model.dialect:
        case Dialect.ANTHROPIC:
            headers = {"anthropic-version": "2023-06-01"} | headers | {"x-api-key": model.api_key or "none"}
        case Dialect.OPENAI:
            headers["authorization"] = f"Bearer {model.api_key or 'none'}"
    return headers


def headers_back(given: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The answer's headers that mean something to the client."""
    return [
        (name.lower(), value)
        for name, value in given
        if name.lower() in _BACK or name.lower().startswith(_BACK_BEGINNINGS)
    ]
