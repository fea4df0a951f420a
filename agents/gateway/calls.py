"""One call from admission to settlement, without the network: what the endpoint asks of the database and of Redis.

Each function is one hop to a thread: token, allow-list, replay, parking, breaker and reservation are decided together.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings

from agents.gateway import ledger, own_prices, parking, prices, replies, tokens, upstream, wires
from agents.gateway.faults import BadCall, BudgetExhausted, ModelNotAllowed, PriceUnknown, ProviderParked
from agents.gateway.ledger import Ended, Need
from agents.gateway.models import ModelCall, RunToken
from agents.gateway.parking import Rest
from agents.gateway.prices import Entry, Price
from agents.gateway.replies import Reply
from agents.gateway.wires import Asked
from agents.providers import Model
from resources import breakers, fleet
from resources.faults import FleetPaused


class UpstreamFailed(Exception):
    """The provider answered 5xx, was not reached, or broke off: its breaker counts it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may be sent: reserved, and let through the provider's breaker."""

    asked: Asked
    model: Model
    call: ModelCall
    price: Price
    url: str
    headers: Mapping[str, str]
    guard: AbstractContextManager[None]


def admit(
    *, token: str, path: str, body: bytes, headers: Mapping[str, str], now: datetime, gateway: uuid.UUID | None = None
) -> Admitted | Reply:
    """Let a request through, or answer it with what was paid for. Raises the fault that stands in its way."""
    row = tokens.find(token, now=now)
    try:
        asked = wires.read(path, body)
        model = upstream.model_for(asked, row)
        if paid := replies.take(row, digest=asked.digest):
            return paid
        fleet.check()
        price, call, guard = _reserved(row, asked, model, gateway, now=now)
    except (BadCall, ModelNotAllowed, BudgetExhausted, PriceUnknown, ProviderParked, FleetPaused) as fault:
        tokens.note_refusal(row, fault.as_dict())
        raise
    tokens.note_refusal(row, None)
    return Admitted(
        asked, model, call, price, upstream.url_of(model, asked), upstream.headers_to(model, headers), guard
    )


def _reserved(
    row: RunToken, asked: Asked, model: Model, gateway: uuid.UUID | None, *, now: datetime
) -> tuple[Price, ModelCall, AbstractContextManager[None]]:
    """Price, reservation, and the provider's breaker, entered. Raises the fault that stands in its way."""
    price = price_of(asked.label, now=now)
    _check_parked(model, row)
    guard = breakers.guard(upstream.service_of(model), failures=(UpstreamFailed,))
    guard.__enter__()
    try:
        need = Need(asked.label, price, asked.input_tokens, asked.output_tokens)
        call = ledger.reserve(token=row, need=need, digest=asked.digest, now=now, gateway=gateway)
    except BaseException:
        guard.__exit__(*sys.exc_info())
        raise
    return price, call, guard


def settle(admitted: Admitted, ended: Ended, *, failed: str, now: datetime) -> None:
    """Book the call and tell the breaker. ``failed`` is why the provider failed; empty when it did not."""
    ledger.settle(admitted.call, ended, price=_price_of_answer(admitted, ended), now=now)
    if failed:
        admitted.guard.__exit__(UpstreamFailed, UpstreamFailed(failed), None)
    else:
        admitted.guard.__exit__(None, None, None)


def park(admitted: Admitted, rest: Rest) -> float:
    """Leave this key alone. Returns how long this very run should wait, in seconds."""
    name = parking.credential(admitted.model)
    parking.park(name, rest_s=rest.seconds, reason=rest.reason)
    found = parking.parked(name, run=str(admitted.call.run_id))
    return found.wait_s if found else rest.seconds


def allowed(*, token: str, now: datetime) -> list[str]:
    """The labels of the models that a token may ask."""
    return list(tokens.find(token, now=now).models_allowed)


def price_of(label: str, *, now: datetime) -> Price:
    """Today's price by the operator's list and ours."""
    return prices.price_of(label, on=now.date(), own=_own_prices(), unknown=settings.UNKNOWN_PRICE)


def _price_of_answer(admitted: Admitted, ended: Ended) -> Price:
    """What was asked, or what answered where that is dearer. An operator's own word on what was asked stands."""
    asked, price = admitted.asked, admitted.price
    answered = f"{asked.endpoint.dialect}/{ended.answered}"
    if not ended.answered or answered == asked.label or ended.usage is None:
        return price
    on, own = admitted.call.day, _own_prices()
    lists = (own,) if prices.known(asked.label, on=on, lists=(own,)) else (own, prices.listed())
    return prices.answered_price(price, answered, ended.usage, on=on, lists=lists)


def _own_prices() -> tuple[Entry, ...]:
    return own_prices.read_own(Path(settings.MODEL_PRICES) if settings.MODEL_PRICES else None)


def _check_parked(model: Model, token: RunToken) -> None:
    found = parking.parked(parking.credential(model), run=str(token.run_id))
    if found is not None:
        raise ProviderParked(
            f"{model.label}: {found.reason}; the provider wants no call for another {found.rest_s:.0f} s.",
            retry_after_s=round(found.wait_s, 2), model=model.label,
        )  # fmt: skip
