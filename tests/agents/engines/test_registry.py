"""Which engine a request gets."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from agents.engines import registry, replay
from agents.engines.faults import EngineUnknown
from agents.engines.protocol import Engine, EngineKind, EngineUnavailable
from agents.engines.repair.engine import RepairEngine
from agents.engines.repair.faults import OptionsInvalid
from agents.engines.replay import ReplayEngine
from agents.providers import Dialect, Model, ModelChain, NotConfigured, read_chain
from events.faults import FaultClass
from tests.agents.engines.test_replay import recording

CHAIN = ModelChain(models=(Model(Dialect.OPENAI, "some-model", "http://127.0.0.1:1/v1", "k"),))
DIFF = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a\n+b\n"


def pick(requested: str, requirements: str = "Make it better", **more: Any) -> Engine:
    arguments: dict[str, Any] = {"metadata": {}, "chain": None, "failing_before": ()} | more
    arguments["chain"] = lambda chain=arguments["chain"]: chain
    return registry.pick(requested, requirements=requirements, **arguments)  # type: ignore[arg-type]


def test_auto_takes_what_the_request_carries_before_it_asks_a_model() -> None:
    assert pick("auto", DIFF, chain=CHAIN).kind is EngineKind.PATCH
    assert pick("auto", "codemod: ruff I", chain=CHAIN).kind is EngineKind.CODEMOD
    assert pick("auto", metadata={"recording": recording()}, chain=CHAIN).kind is EngineKind.REPLAY
    assert pick("auto", chain=CHAIN).kind is EngineKind.LLM


def half_configured() -> ModelChain | None:
    raise NotConfigured("MOORAGE_MODELS names 'openai:m', but OPENAI_API_KEY is not set.")


@pytest.mark.parametrize(
    ("requested", "requirements"), [("auto", DIFF), ("auto", "codemod: ruff I"), ("patch", DIFF), ("codemod", "x")]
)
def test_a_model_that_is_only_half_configured_is_no_reason_to_refuse_what_needs_none(
    requested: str, requirements: str
) -> None:
    engine = registry.pick(requested, requirements=requirements, metadata={}, chain=half_configured, failing_before=())
    assert engine.kind in {EngineKind.PATCH, EngineKind.CODEMOD}
    with pytest.raises(NotConfigured):
        registry.pick("auto", requirements="Make it better", metadata={}, chain=half_configured, failing_before=())


def test_a_broken_or_binary_diff_is_still_the_patch_engines_to_refuse() -> None:
    text = "diff --git a/x.png b/x.png\nGIT binary patch\n"
    assert pick("auto", text, chain=CHAIN).kind is EngineKind.PATCH


def test_prose_with_dashes_and_markers_of_merge_conflicts_is_no_change() -> None:
    text = "Heading\n--- \n+++ \n- item\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\nuse a codemod: please"
    assert pick("auto", text, chain=CHAIN).kind is EngineKind.LLM


def test_without_model_diff_and_codemod_the_ways_on_are_named() -> None:
    for requested in ("auto", "llm"):
        with pytest.raises(NotConfigured) as fault:
            pick(requested)
        assert fault.value.fault_class is FaultClass.CONFIGURATION
        for way in ("MOORAGE_MODELS", "diff", "codemod", "test that fails"):
            assert way in fault.value.remedy_text


def test_without_a_model_failing_tests_lead_a_search_and_the_template_bounds_it() -> None:
    engine = pick("auto", failing_before=("tests::test_it",), options={"seconds": 7, "candidates": 9, "other": "x"})
    assert isinstance(engine, RepairEngine)
    assert (engine.options.seconds, engine.options.candidates) == (7.0, 9)
    assert pick("auto", failing_before=("tests::test_it",), chain=CHAIN).kind is EngineKind.LLM
    assert pick("auto", DIFF, failing_before=("tests::test_it",)).kind is EngineKind.PATCH


@pytest.mark.parametrize("options", [{"seconds": 0}, {"candidates": "many"}, {"workers": True}, {"memory_mb": -1}])
def test_options_of_a_search_that_make_no_sense_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsInvalid, match=next(iter(options))):
        pick("repair", options=options)


def test_an_agent_program_is_hired_by_whoever_has_a_berth_for_it_and_a_template_that_names_one() -> None:
    hired = ReplayEngine(replay.Recording("", "", "", ()))
    assert pick("external", hire=lambda: hired) is hired
    with pytest.raises(EngineUnavailable):
        pick("external")
    registry.check_available(EngineKind.EXTERNAL, spec={"engine": {"external": {"program": ["agent"]}}})
    registry.check_available(EngineKind.PATCH, spec={})
    nowhere: tuple[dict[str, Any], ...] = ({}, {"engine": {}}, {"engine": {"external": {"program": []}}})
    for spec in nowhere:
        with pytest.raises(EngineUnavailable, match="names no agent program"):
            registry.check_available(EngineKind.EXTERNAL, spec=spec)


def test_an_unknown_engine_gets_the_list() -> None:
    with pytest.raises(EngineUnknown) as fault:
        pick("magic")
    assert "codemod" in fault.value.detail
    assert fault.value.code == "engine.unknown"


def test_the_label_of_a_deterministic_engine_names_no_ai() -> None:
    assert pick("patch", DIFF).label() == pick("codemod").label() == "Deterministic change — no AI was used"


def test_importing_and_picking_loads_no_model_library() -> None:
    program = (
        "import sys\nfrom agents.engines import registry\nfrom agents.providers import read_chain\n"
        "chain = read_chain({'MOORAGE_MODELS': 'ollama:m'})\n"
        "registry.pick('patch', requirements='x', metadata={}, chain=lambda: chain, failing_before=())\n"
        "registry.pick('llm', requirements='x', metadata={}, chain=lambda: chain, failing_before=()).label()\n"
        "loaded = [n for n in sys.modules if n.startswith(('langchain', 'openai', 'anthropic', 'acp'))]\n"
        "print(loaded)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_chain_is_read_in_order_with_each_providers_own_names() -> None:
    chain = read_chain(
        {
            "MOORAGE_MODELS": "openai:a, anthropic:b ,ollama:c:7b",
            "OPENAI_API_KEY": "sk-secret",
            "ANTHROPIC_API_KEY": "sk-other",
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:2",
            "OLLAMA_HOST": "127.0.0.1:3",
        }
    )
    assert chain is not None
    assert [model.label for model in chain.models] == ["openai/a", "anthropic/b", "ollama/c:7b"]
    assert [model.base_url for model in chain.models] == ["", "http://127.0.0.1:2", "http://127.0.0.1:3"]
    assert "sk-" not in repr(chain)


@pytest.mark.parametrize("models", ["gpt", "openai:", "mystery:x", "openai:a"])
def test_a_chain_that_cannot_work_is_a_configuration_fault(models: str) -> None:
    with pytest.raises(NotConfigured):
        read_chain({"MOORAGE_MODELS": models})


def test_no_models_is_no_chain() -> None:
    assert read_chain({}) is None
    assert read_chain({"MOORAGE_MODELS": " , "}) is None
