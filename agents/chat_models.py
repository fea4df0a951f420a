"""Ask the models of a chain: one retry layer, typed faults, bounded time, and no use of a cut or filtered
answer.

LangChain and the providers' libraries are imported inside functions only; importing this module loads none
of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agents.model_answers import Answer, Spoken, joined, read_answer
from agents.model_errors import fault_of, retry_after_s
from agents.providers import (
    RETRYABLE,
    Dialect,
    Model,
    ModelCancelled,
    ModelChain,
    ModelRateLimited,
    ModelTimeout,
    NotConfigured,
)
from events.faults import Fault

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

POLL_S = 0.1


@dataclass(slots=True)
class Usage:
    """What the calls of one engine came to."""

    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, other: Usage) -> None:
        """Count what another counted, too."""
        self.calls += other.calls
        self.failed_calls += other.failed_calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens

    def as_dict(self) -> dict[str, int]:
        """The JSON form for the Step row."""
        return {
            "calls": self.calls,
            "failed_calls": self.failed_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


class Models:
    """The chain's models, asked in order; sums usage and remembers who answered."""

    def __init__(
        self,
        chain: ModelChain,
        *,
        cancelled: Callable[[], bool],
        say: Callable[[str], None],
        usage: Usage,
        asked: Callable[[str], None] = lambda _model: None,
    ) -> None:
        self.chain, self.usage, self.asked = chain, usage, asked
        self.cancelled, self.say = cancelled, say
        self.answered: list[str] = []

    def apart(self, *, cancelled: Callable[[], bool], say: Callable[[str], None], iterations: int) -> Models:
        """The same for another thread: with a count of its own, until :meth:`join` takes it in."""
        chain = replace(self.chain, iterations=iterations)
        return Models(chain, cancelled=cancelled, say=say, usage=Usage(), asked=self.asked)

    def join(self, other: Models) -> None:
        """Take in what another one came to, once its thread is done."""
        self.usage.add(other.usage)
        self.answered.extend(label for label in other.answered if label not in self.answered)

    def ask(self, messages: Sequence[BaseMessage], *, tools: Sequence[type], forced: str | None = None) -> Answer:
        """The first complete answer. ``forced`` names the one tool the model must call, where its dialect
        can.

        A retryable fault goes to the next attempt, then to the next model; any other one is raised at
        once.
        """
        fault: Fault | None = None
        for model in self.chain.models:
            patience_s = self.chain.patience_s if model is self.chain.models[-1] else self.chain.backoff_s * 4
            for attempt in range(self.chain.attempts):
                if fault is not None and not self._worth_another(fault, attempt, patience_s):
                    break
                try:
                    return self._once(model, messages, tools, forced)
                except RETRYABLE as error:
                    fault = error
                    self.usage.failed_calls += 1
                    self.say(f"{model.label}: {error.code}: {error.detail[:200]}")
        raise fault or NotConfigured("The chain holds no model.")

    def _worth_another(self, fault: Fault, attempt: int, patience_s: float) -> bool:
        """Wait as long as the fault asks for, in steps; False where the next model is the better way on."""
        if attempt == 0:
            return True
        wait_s = self.chain.backoff_s * 2 ** (attempt - 1)
        if isinstance(fault, ModelRateLimited):
            wait_s = max(wait_s, float(fault.facts.get("retry_after_s") or 0.0))
        if wait_s > patience_s:
            return False
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            self._stop_if_cancelled()
            time.sleep(min(POLL_S, left_s))
        return True

    def _once(self, model: Model, messages: Sequence[BaseMessage], tools: Sequence[type], forced: str | None) -> Answer:
        self._stop_if_cancelled()
        client = bound(model, self.chain, tools, forced)
        message = self._bounded(model, lambda: self._said(client, model, list(messages)))
        self.usage.calls += 1
        self.asked(model.label)
        counted = getattr(message, "usage_metadata", None) or {}
        self.usage.input_tokens += int(counted.get("input_tokens") or 0)
        self.usage.output_tokens += int(counted.get("output_tokens") or 0)
        answer = read_answer(Spoken(message=message, label=model.label))
        if model.label not in self.answered:
            self.answered.append(model.label)
        return answer

    def _said(self, client: Any, model: Model, messages: list[BaseMessage]) -> Any:
        if self.chain.streaming and model.dialect is not Dialect.OLLAMA:
            return joined(client.stream(messages))
        return client.invoke(messages)

    def _bounded(self, model: Model, call: Callable[[], Any]) -> Any:
        """Run one call in a thread, so that the deadline and a cancellation hold whatever the provider sends.

        A call given up goes on until its own read timeout; its answer is dropped.
        """
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model-call")
        future: Future[Any] = pool.submit(call)
        pool.shutdown(wait=False)
        deadline = time.monotonic() + self.chain.timeout_s * 1.1
        while True:
            try:
                error = future.exception(timeout=POLL_S)
            except NotYet:
                self._stop_if_cancelled()
                if time.monotonic() > deadline:
                    raise ModelTimeout(f"{model.label} did not finish in {self.chain.timeout_s:g} s.") from None
                continue
            if error is None:
                return future.result()
            fault = fault_of(error, model)
            if fault is None:
                raise error
            if isinstance(fault, ModelRateLimited):
                fault.facts.setdefault("retry_after_s", retry_after_s(error))
            raise fault from error

    def _stop_if_cancelled(self) -> None:
        if self.cancelled():
            raise ModelCancelled("The operation was cancelled.")


def bound(model: Model, chain: ModelChain, tools: Sequence[type], forced: str | None) -> Any:
    """The LangChain chat model with its tools."""
    client = opened(model, chain)
    if forced is None or model.dialect is Dialect.OLLAMA:  # Ollama has no tool_choice
        return client.bind_tools(list(tools))
    return client.bind_tools(list(tools), tool_choice=forced)


def opened(model: Model, chain: ModelChain) -> BaseChatModel:
    """The provider's LangChain class, with the SDK's own retries off: retrying is ours."""
    base_url = model.base_url or None
    # A gateway that wants no key gets a word instead: without one the SDKs would read the environment.
    key: Any = model.api_key or "none"
    match model.dialect:
        case Dialect.OPENAI:
            from langchain_openai import ChatOpenAI

            return ChatOpenAI(
                model=model.name,
                base_url=base_url,
                api_key=key,
                timeout=chain.timeout_s,
                max_retries=0,
                max_completion_tokens=chain.output_tokens,
                streaming=chain.streaming,
                stream_usage=True,
            )
        case Dialect.ANTHROPIC:
            from langchain_anthropic import ChatAnthropic

            return ChatAnthropic(
                model_name=model.name,
                base_url=base_url,
                api_key=key,
                timeout=chain.timeout_s,
                max_retries=0,
                max_tokens_to_sample=chain.output_tokens,
                streaming=chain.streaming,
                stop=None,
            )
        case Dialect.OLLAMA:
            from langchain_ollama import ChatOllama

            return ChatOllama(
                model=model.name,
                base_url=base_url,
                num_predict=chain.output_tokens,
                client_kwargs={"timeout": chain.timeout_s, "headers": {"authorization": f"Bearer {key}"}},
            )
