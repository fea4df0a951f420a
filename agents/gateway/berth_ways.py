"""An agent program's way to models: a token of its run for one attempt, and what came of the calls made with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Q, Sum
from django.utils import timezone

from agents.gateway import tokens, ways
from agents.gateway.models import ModelCall, RunToken
from agents.gateway.tokens import Run
from agents.providers import Dialect, Model
from events.faults import Remembered
from resources.fleet import FleetPaused
from resources.operator_secrets import Mask
from resources.sandboxes.entrusted import Entrusted
from resources.sandboxes.protocol import Sandbox

LOOK_S = 2.0  # between two looks at whether the last call was refused
_KEYS = {Dialect.OPENAI: "OPENAI", Dialect.ANTHROPIC: "ANTHROPIC"}
_NO_WAY_ON = ("budget.exhausted", "budget.price_unknown", FleetPaused.code)


@dataclass
class Way:
    """What one attempt may ask models with. Without a token it leads nowhere: no model is configured."""

    environment: Mapping[str, str] = field(default_factory=dict)  # where models are; holds no secret
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: RunToken | None = None
    _looked: float = 0.0
    _spent: bool = False

    @property
    def mask(self) -> Mask:
        """What keeps the token out of all that is shown."""
        return Mask(self.secrets)

    def entrust(self, sandbox: Sandbox) -> Sandbox:
        """The sandbox whose commands have the token in their environment, and whose answers hold it nowhere."""
        return Entrusted(sandbox, secrets=self.secrets) if self.secrets else sandbox

    def is_spent(self) -> bool:
        """Whether the last call was refused for want of money or in a pause: end the program then."""
        now = time.monotonic()
        if self.token is not None and not self._spent and now - self._looked > LOOK_S:
            self._looked = now
            self._spent = (self._refusal() or {}).get("code") in _NO_WAY_ON
        return self._spent

    def raise_if_refused(self) -> None:
        """Raise what the gateway refused the last call with: a budget at its end, a provider that rests."""
        if (refusal := self._refusal()) is not None:
            raise Remembered(refusal)

    def usage(self) -> dict[str, int]:
        """calls, failed_calls, input_tokens and output_tokens of this attempt; empty where no model is configured."""
        if self.token is None:
            return {}
        failed = Q(state=ModelCall.State.FAILED)
        made = ModelCall.objects.filter(token=self.token).order_by().aggregate(
            calls=Count("id", filter=~failed), failed_calls=Count("id", filter=failed),
            input_tokens=Sum("input_tokens"), output_tokens=Sum("output_tokens"),
        )  # fmt: skip
        return {name: count or 0 for name, count in made.items()}

    def _refusal(self) -> dict[str, object] | None:
        if self.token is None:
            return None
        return RunToken.objects.filter(pk=self.token.pk).values_list("refused", flat=True).first()


@contextmanager
def opened(run: Run, *, ttl_s: float, now: datetime) -> Iterator[Way]:
    """The way to the configured models, for as long as the block lasts: the token is withdrawn at its end."""
    chain = ways.configured()
    if chain is None:
        yield Way()
        return
    token = tokens.issue(run, models=ways.labels_of(chain), now=now, ttl_s=ttl_s)
    row = tokens.find(token, now=now)
    try:
        yield Way(_environment(chain.models), _secrets(chain.models, token), row)
    finally:
        tokens.withdraw(row, now=timezone.now())


def _environment(models: tuple[Model, ...]) -> dict[str, str]:
    """By dialect, as the providers' own clients read it: the address, and the first model of the chain."""
    found: dict[str, str] = {}
    for model in reversed(models):
        if name := _KEYS.get(model.dialect):
            found[f"{name}_BASE_URL"] = ways.berth_url(model.dialect)
            found[f"{name}_MODEL"] = model.name
    return found


def _secrets(models: tuple[Model, ...], token: str) -> dict[str, str]:
    return {f"{name}_API_KEY": token for model in models if (name := _KEYS.get(model.dialect))}
