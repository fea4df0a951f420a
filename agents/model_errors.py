"""What a provider library raised, as one of our faults. No key and no request ever stands in a fault."""

from __future__ import annotations

import json
from typing import Any

from agents.gateway import answers
from agents.gateway.faults import BadCall, BudgetExhausted, ModelNotAllowed, NotServed, PriceUnknown, TokenRefused
from agents.providers import (
    Model,
    ModelAuth,
    ModelMalformed,
    ModelRateLimited,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
    NotConfigured,
)
from events.faults import Fault
from resources.faults import FleetPaused

MAX_WORDS = 200

_GATEWAY = (
    BudgetExhausted,
    PriceUnknown,
    TokenRefused,
    ModelNotAllowed,
    BadCall,
    NotServed,
    NotConfigured,
    FleetPaused,
)
# Faults of our gateway, as they come back through the provider's library.
_OURS: dict[str, type[Fault]] = {fault.code: fault for fault in _GATEWAY} | {
    "llm.rate_limited": ModelRateLimited,
    "budget.held": ModelRateLimited,
    "llm.timeout": ModelTimeout,
    "llm.unavailable": ModelUnavailable,
    "gateway.malfunction": ModelUnavailable,
    "service.resting": ModelUnavailable,
}

_AGAIN = (409, 425)  # a conflict with another request, or too early: the request itself is fine
# What the SDKs raise, unwrapped, when an answer with status 200 is HTML, empty, or JSON of another shape.
_MISSHAPEN = (json.JSONDecodeError, ValueError, TypeError, KeyError, AttributeError, IndexError)


def fault_of(error: BaseException, model: Model) -> Fault | None:
    """The fault for an exception of a model call; None for what is no failure of a provider."""
    if ours := _fault_of_the_gateway(error):
        return ours
    status = _status(error)
    words = _words(error, model)
    if status in (401, 403):
        return ModelAuth(f"{model.label}: the key was refused ({status}).")
    if status == 429:
        return ModelRateLimited(f"{model.label}: too many requests (429).")
    if status == 408 or _named(error, "Timeout"):
        return ModelTimeout(f"{model.label} did not answer in time.")
    if status in _AGAIN:
        return ModelUnavailable(f"{model.label} answered {status}.")
    if status is not None and 400 <= status < 500:
        return ModelRejected(f"{model.label} refused the request ({status}): {words}")
    if status is not None and status >= 500:
        return ModelUnavailable(f"{model.label} answered {status}.")
    if _named(error, "ResponseValidation", "DecodingError", "OutputParser"):
        return ModelMalformed(f"{model.label}: the answer cannot be read: {words}")
    if isinstance(error, OSError) or _named(error, "Connect", "Network", "Protocol", "ReadError", "Transport"):
        return ModelUnavailable(f"{model.label} cannot be reached, or broke off: {type(error).__name__}.")
    if isinstance(error, _MISSHAPEN) or _named(error, "APIError", "ResponseError"):
        return ModelMalformed(f"{model.label}: the answer cannot be read ({type(error).__name__}): {words}")
    return None


def _fault_of_the_gateway(error: BaseException) -> Fault | None:
    """What our gateway said; None where the provider itself spoke."""
    document = answers.fault_in(getattr(error, "body", None) or getattr(error, "error", None))
    kind = _OURS.get(str(document.get("code"))) if document else None
    if kind is None or document is None:
        return None
    facts = document.get("facts")
    return kind(
        str(document.get("detail", ""))[:1000],
        remedy=str(document.get("remedy", "")) or None,
        **(facts if isinstance(facts, dict) else {}),
    )


def retry_after_s(error: BaseException) -> float | None:
    """The seconds of a ``retry-after`` header; None where there is none, or a date."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    value = headers.get("retry-after") if headers is not None else None
    try:
        return max(float(value), 0.0) if value is not None else None
    except ValueError:
        return None


def _status(error: BaseException) -> int | None:
    """The HTTP status; an SDK writes -1 or nothing where there was none."""
    status: Any = getattr(error, "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _named(error: BaseException, *parts: str) -> bool:
    """Whether a class of the exception is named so; the libraries share names, not base classes."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return any(part in name for name in names for part in parts)


def _words(error: BaseException, model: Model) -> str:
    words = " ".join(str(error).split())
    if model.api_key:
        words = words.replace(model.api_key, "…")
    return words[:MAX_WORDS]
