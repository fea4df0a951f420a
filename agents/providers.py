"""Which language models may be asked, in which order, and what can go wrong with them. Loads no model
library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from events.faults import Fault, FaultClass


class Dialect(StrEnum):
    """A provider's wire protocol."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"


class NotConfigured(Fault):
    """No model can be asked."""

    fault_class = FaultClass.CONFIGURATION
    code = "llm.not_configured"
    remedy = (
        "Set MOORAGE_MODELS (such as openai:NAME,anthropic:NAME,ollama:NAME) and the provider's key, "
        "or give a diff in the requirement, or name a codemod (`codemod: ruff UP,I`), "
        "or add a test that fails until it is done: the repair engine is led by it."
    )


class ModelAuth(Fault):
    """The provider refused the key."""

    fault_class = FaultClass.CONFIGURATION
    code = "llm.auth"
    remedy = "Check the provider's API key and that it may use this model."


class ModelRejected(Fault):
    """The provider refused the request itself (400, 404, 422): another provider would be no cure."""

    fault_class = FaultClass.CONFIGURATION
    code = "llm.rejected"
    remedy = "Check the model's name in MOORAGE_MODELS and the provider's base URL."


class ModelRateLimited(Fault):
    """The provider asked for patience (429) longer than one stage waits."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.rate_limited"
    remedy = "The stage is tried again later; a further provider in MOORAGE_MODELS helps."


class ModelUnavailable(Fault):
    """The provider answered 5xx, or could not be reached."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.unavailable"
    remedy = "The stage is tried again; a further provider in MOORAGE_MODELS helps."


class ModelTimeout(Fault):
    """The provider did not answer in time."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.timeout"
    remedy = "The stage is tried again; a longer model timeout or a faster model helps."


class ModelMalformed(Fault):
    """The answer is no answer: not JSON, HTML, empty, or not in the asked-for form."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.malformed"
    remedy = "The stage is tried again; check the base URL if it stays so."


class ModelTruncated(Fault):
    """The answer was cut at the model's length limit; nothing of it was used."""

    fault_class = FaultClass.PERMANENT
    code = "llm.truncated"
    remedy = "Ask for less at once, or choose a model with a longer output."


class ModelRefused(Fault):
    """The model or the provider's filter declined to answer."""

    fault_class = FaultClass.PERMANENT
    code = "llm.refused"
    remedy = "Word the requirement otherwise, or choose another model."


class ModelStuck(Fault):
    """The model repeats itself, or does not come to an end within its iterations."""

    fault_class = FaultClass.PERMANENT
    code = "llm.stuck"
    remedy = "Word the requirement more precisely, split it, or choose a stronger model."


class NeedsAnswer(Fault):
    """The planner asks the person who wrote the requirement; ``detail`` is the question."""

    code = "llm.question"
    remedy = "Answer it; the plan is made anew with the answer."


class ModelCancelled(Fault):
    """The operation was cancelled while a model was asked."""

    code = "llm.cancelled"


RETRYABLE: tuple[type[Fault], ...] = (ModelRateLimited, ModelUnavailable, ModelTimeout, ModelMalformed)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider. ``api_key`` never shows in a repr."""

    dialect: Dialect
    name: str
    base_url: str = ""
    api_key: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """What stands on rows and pull requests: ``openai/NAME``."""
        return f"{self.dialect}/{self.name}"


@dataclass(frozen=True, slots=True)
class ModelChain:
    """The fallback chain, first to last, and the bounds of every call."""

    models: tuple[Model, ...]
    timeout_s: float = 120.0
    attempts: int = 3  # per model and call
    backoff_s: float = 1.0  # before the second attempt, doubled for each further one
    patience_s: float = 10.0  # the longest wait within a stage; for a longer one the run is parked
    output_tokens: int = 8192
    iterations: int = 60  # of the coder's tool loop
    side_by_side: int = 1  # independent steps of a plan carried out at one time
    streaming: bool = False  # Ollama always streams

    @property
    def label(self) -> str:
        """The first model's label; a call that fell back says so in the log."""
        return self.models[0].label


def read_chain(environment: Mapping[str, str], *, keyless: bool = False) -> ModelChain | None:
    """The chain of ``MOORAGE_MODELS`` with each provider's own key and base URL; None where it is not set.

    ``keyless`` is for those who go through the gateway and never see a key. Raises :class:`NotConfigured` for an entry
    that cannot be read, or whose key is missing.
    """
    entries = [entry.strip() for entry in environment.get("MOORAGE_MODELS", "").split(",") if entry.strip()]
    if not entries:
        return None
    return ModelChain(models=tuple(_model(entry, environment, keyless=keyless) for entry in entries))


def _model(entry: str, environment: Mapping[str, str], *, keyless: bool) -> Model:
    dialect_name, _, name = entry.partition(":")
    if dialect_name not in list(Dialect) or not name.strip():
        raise NotConfigured(f"MOORAGE_MODELS: {entry!r} is not PROVIDER:NAME with {', '.join(Dialect)}.")
    dialect = Dialect(dialect_name)
    key_name, url_names = _NAMES[dialect]
    if keyless:
        return Model(dialect, name.strip())
    # Blanks and line ends come along from files of secrets.
    base_url = next((environment[key].strip() for key in url_names if environment.get(key)), "")
    key = environment.get(key_name, "").strip() if key_name else ""
    if key_name and not key and not base_url:
        raise NotConfigured(f"MOORAGE_MODELS names {entry!r}, but {key_name} is not set.")
    if dialect is Dialect.OLLAMA and base_url and "://" not in base_url:
        base_url = f"http://{base_url}"  # OLLAMA_HOST is a bare host:port
    return Model(dialect, name.strip(), base_url, key)


_NAMES: dict[Dialect, tuple[str, tuple[str, ...]]] = {
    Dialect.OPENAI: ("OPENAI_API_KEY", ("OPENAI_BASE_URL",)),
    Dialect.ANTHROPIC: ("ANTHROPIC_API_KEY", ("ANTHROPIC_BASE_URL",)),
    Dialect.OLLAMA: ("", ("OLLAMA_BASE_URL", "OLLAMA_HOST")),
}
