"""An agent program's way to models: a token of its run for one attempt, and what came of the calls made with it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
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
from resources.faults import FleetPaused
from resources.operator_secrets import Mask
from resources.sandboxes.entrusted import Entrusted
from resources.sandboxes.protocol import Sandbox

LOOK_S = 2.0  # between two looks at what was called, and at whether the last call was refused
_NAMES = {Dialect.OPENAI: "OPENAI", Dialect.ANTHROPIC: "ANTHROPIC", Dialect.OLLAMA: "OLLAMA"}
_NO_WAY_ON = ("budget.exhausted", "budget.price_unknown", FleetPaused.code)
_HALTS = (*_NO_WAY_ON, "llm.rate_limited")  # whatever a program makes of it, the run stops for these


@dataclass
class Way:
    """What one attempt may ask models with. Without a token it leads nowhere: no model is configured."""

    environment: Mapping[str, str] = field(default_factory=dict)  # where models are; holds no secret
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: RunToken | None = None
    called: Callable[[str], None] = lambda _model: None  # told of each model that it asks, and while one answers
    _looked: float = 0.0
    _spent: bool = False
    _seen: uuid.UUID | None = None

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
            self._tell_called()
            self._spent = (self._refusal() or {}).get("code") in _NO_WAY_ON
        return self._spent

    def raise_if_refused(self) -> None:
        """Raise what the gateway refused the last call with: it says more than a program that failed for it."""
        if (refusal := self._refusal()) is not None:
            raise Remembered(refusal)

    def raise_if_halted(self) -> None:
        """Raise what stops the run whatever the program made of it: a budget at its end, a provider that rests."""
        if (refusal := self._refusal() or {}).get("code") in _HALTS:
            raise Remembered(refusal)

    def usage(self) -> dict[str, int]:
        """calls, failed_calls, input_tokens and output_tokens of this attempt; empty where no model is configured."""
        if self.token is None:
            return {}
        self._tell_called()
        failed = Q(state=ModelCall.State.FAILED)
        made = ModelCall.objects.filter(token=self.token).order_by().aggregate(
            calls=Count("id", filter=~failed), failed_calls=Count("id", filter=failed),
            input_tokens=Sum("input_tokens"), output_tokens=Sum("output_tokens"),
        )  # fmt: skip
        return {name: count or 0 for name, count in made.items()}

    def _tell_called(self) -> None:
        last = ModelCall.objects.filter(token=self.token).order_by("-created_at").only("model", "state").first()
        if last is not None and (last.pk != self._seen or last.state == ModelCall.State.RESERVED):
            self._seen = last.pk
            self.called(last.model)

    def _refusal(self) -> dict[str, object] | None:
        if self.token is None:
            return None
        return RunToken.objects.filter(pk=self.token.pk).values_list("refused", flat=True).first()


@contextmanager
def opened(
    run: Run, *, ttl_s: float, now: datetime, called: Callable[[str], None] = lambda _model: None
) -> Iterator[Way]:
    """The way to the configured models, for as long as the block lasts: the token is withdrawn at its end."""
    chain = ways.configured()
    if chain is None:
        yield Way()
        return
    token = tokens.issue(run, models=ways.labels_of(chain), now=now, ttl_s=ttl_s)
    row = tokens.find(token, now=now)
    environment = _environment(chain.models)
    secrets = {f"{name}_API_KEY": token for name in _NAMES.values() if f"{name}_MODEL" in environment}
    try:
        yield Way(environment, secrets, row, called)
    finally:
        tokens.withdraw(row, now=timezone.now())


def _environment(models: tuple[Model, ...]) -> dict[str, str]:
    """By dialect, as the providers' own clients read it: the address, and the first model of the chain.

    Ollama speaks OpenAI's dialect too: where no model of OpenAI's is configured, its programs work with Ollama's.
    """
    first = {model.dialect: model.name for model in reversed(models)}
    found = {"MOORAGE_GATEWAY": ways.BERTH_URL}
    if (local := first.get(Dialect.OLLAMA)) is not None:
        url = ways.berth_url(Dialect.OLLAMA)
        found |= {"OLLAMA_HOST": url, "OLLAMA_API_BASE": url, "OLLAMA_MODEL": local}
        found |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": local}
    for dialect in (Dialect.OPENAI, Dialect.ANTHROPIC):
        if dialect in first:
            name = _NAMES[dialect]
            found |= {f"{name}_BASE_URL": ways.berth_url(dialect), f"{name}_MODEL": first[dialect]}
    return found
