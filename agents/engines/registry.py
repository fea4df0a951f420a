"""Which engine works on a request: the named one, or for ``auto`` the first that can."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from agents.engines import codemod, diffs, patch, replay
from agents.engines.external import assignment
from agents.engines.faults import EngineUnknown
from agents.engines.protocol import Engine, EngineKind, EngineUnavailable
from agents.engines.repair import options as repair_options
from agents.engines.repair.engine import RepairEngine
from agents.providers import ModelChain, NotConfigured

_NONE: Mapping[str, Any] = MappingProxyType({})


def kind_of(name: str) -> EngineKind:
    """The kind a request names, or :class:`EngineUnknown` listing the kinds."""
    try:
        return EngineKind(name)
    except ValueError as error:
        kinds = [kind.value for kind in EngineKind]
        raise EngineUnknown(
            f"There is no engine {name!r}; there are {', '.join(kinds)}.", pointer="/engine", known=kinds
        ) from error


def check_available(kind: EngineKind, *, spec: Mapping[str, Any]) -> None:
    """Raise :class:`EngineUnavailable` for a kind that no request can be done with in berths of this template."""
    if kind is EngineKind.EXTERNAL:
        assignment.read(spec)


def pick(
    requested: EngineKind | str,
    *,
    requirements: str,
    metadata: Mapping[str, Any],
    chain: Callable[[], ModelChain | None],
    failing_before: Sequence[str],
    options: Mapping[str, Any] = _NONE,
    asked: Callable[[str], None] = lambda _model: None,
    told: Callable[[int, str, str], None] = lambda _step, _title, _state: None,
    outlines: Callable[[Sequence[str]], Sequence[str]] | None = None,
    hire: Callable[[], Engine] | None = None,
) -> Engine:
    """The engine of one request. Raises a Fault where the named or, for ``auto``, any engine cannot work.

    ``options`` are the template's ``engine.options``; each engine reads its own. ``chain`` is asked only where a model
    would work: a half-configured one is no reason to refuse a patch. ``asked`` is told of each answer of a model, by
    the model's label, ``told`` of each step of a plan that is carried out beside others. ``outlines`` knows outlines of
    files. ``hire`` makes the engine of the template's agent program, which takes a berth.
    """
    kind = kind_of(requested)
    if kind is EngineKind.AUTO:
        kind = _automatic(requirements, metadata, chain, failing_before)
    match kind:
        case EngineKind.PATCH:
            return patch.PatchEngine()
        case EngineKind.CODEMOD:
            return codemod.CodemodEngine()
        case EngineKind.REPLAY:
            return replay.ReplayEngine(replay.read(metadata))
        case EngineKind.LLM:
            return _llm(chain(), asked=asked, told=told, outlines=outlines)
        case EngineKind.REPAIR:
            return RepairEngine(repair_options.read(options))
    if hire is None:
        raise EngineUnavailable("An agent program works in a berth alone.", pointer="/engine")
    return hire()


def _automatic(
    requirements: str,
    metadata: Mapping[str, Any],
    chain: Callable[[], ModelChain | None],
    failing_before: Sequence[str],
) -> EngineKind:
    if diffs.carries_change(requirements):
        return EngineKind.PATCH
    if codemod.carries_codemod(requirements):
        return EngineKind.CODEMOD
    if replay.carries_recording(metadata):
        return EngineKind.REPLAY
    if chain() is not None:
        return EngineKind.LLM
    if failing_before:
        return EngineKind.REPAIR
    raise NotConfigured(
        "No model is configured, the requirement carries neither a diff nor a codemod, and no test fails that a search "
        "could be led by."
    )


def _llm(chain: ModelChain | None, **more: Any) -> Engine:
    if chain is None:
        raise NotConfigured("The llm engine needs a model, and none is configured.")
    from agents.engines import llm  # the language model libraries load with it, and only where a model works

    return llm.LlmEngine(chain, **more)
