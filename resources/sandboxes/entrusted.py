"""A sandbox whose commands are given secrets, in their environment alone, and whose answers hold none of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from events.faults import FaultClass
from resources.operator_secrets import Mask
from resources.sandboxes.protocol import Command, Outcome, Sandbox, SandboxFailed
from resources.sandboxes.wrapped import Wrapped


class SecretsRefused(SandboxFailed):
    """What carries commands here would show their environment to whoever may ask the engine."""

    fault_class = FaultClass.CONFIGURATION
    code = "secret.no_safe_way"
    remedy = "Add python3 to the image."


class Entrusted(Wrapped):
    """Everything is the sandbox's own, but for the environment of ``run`` and what comes back of it."""

    def __init__(self, sandbox: Sandbox, *, secrets: Mapping[str, str]) -> None:
        if sandbox.reference().get("carrier") == "engine":
            raise SecretsRefused("Secrets cannot be given to commands in this image.")
        super().__init__(sandbox)
        self._secrets, self._mask = dict(secrets), Mask(secrets)

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        given = dataclasses.replace(
            command,
            environment={**command.environment, **self._secrets},
            hidden=(*command.hidden, *self._secrets.values()),
        )
        outcome = self._sandbox.run(given, cancelled=cancelled)
        return dataclasses.replace(
            outcome, stdout=self._mask.data(outcome.stdout), stderr=self._mask.data(outcome.stderr)
        )
