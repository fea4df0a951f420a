"""Budgets under calls at once, prices by date, keys that rest: over the real gateway, or on its own rows."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents.gateway import hearts, ledger, limits, money, own_prices, prices
from agents.gateway.faults import BadBudget, BudgetExhausted, PriceUnknown
from agents.gateway.ledger import Ended
from agents.gateway.models import Account, ModelCall, Pulse, Scope
from agents.gateway.own_prices import BadPriceFile
from agents.gateway.prices import Price, Rates, Usage
from agents.gateway.tokens import Run
from tests.agents.gateway.conftest import LABELS, Make
from tests.at_once import at_once
from tests.fakes.llm_server import LlmServer, Say

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
CENT = 10_000_000


def test_fifty_calls_at_once_against_a_dollar_never_overspend(
    server: LlmServer, make_client: Make, settings: Any
) -> None:
    settings.BUDGET = {"project": 1.0}
    project = uuid.uuid4()
    # Each holds 10 cents at most and costs 4: 25 of them fit, of which ten are in flight at a time.
    server.script.extend([Say("a", input_tokens=0, output_tokens=4000)] * 50)
    clients = [make_client(run=Run(uuid.uuid4(), uuid.uuid4().hex, project_id=project)) for _ in range(50)]
    said: list[Any] = at_once([partial(one.ask, output=9900, timeout_s=90) for one in clients], width=50)
    statuses = sorted(answer.status_code for answer in said)
    account = Account.objects.get(scope="project")
    assert set(statuses) == {200, 402}
    assert account.held_nanos == 0
    assert account.spent_nanos == statuses.count(200) * 4 * CENT == len(server.requests) * 4 * CENT
    assert 85 * CENT <= account.spent_nanos <= 100 * CENT
    refused = next(answer for answer in said if answer.status_code == 402).json()["error"]
    assert (refused["code"], refused["moorage"]["facts"]["scope"]) == ("budget.exhausted", "project")


@pytest.mark.parametrize(
    ("budget", "scope"),
    [({"call": 0.001}, "call"), ({"call.tokens": 50}, "call"), ({"run": 0.001}, "run"), ({"run.calls": 0}, "run"),
     ({"run.tokens": 100}, "run"), ({"user": 0}, "user"), ({"agent": 0.001}, "agent"), ({"day": 0}, "day")],
)  # fmt: skip
def test_each_scope_has_a_hard_limit(
    server: LlmServer, make_client: Make, settings: Any, django_user_model: Any, budget: dict[str, float], scope: str
) -> None:
    settings.BUDGET = budget
    user = django_user_model.objects.create_user("ada")
    said = make_client(run=Run(uuid.uuid4(), "x", agent_id=uuid.uuid4(), user=user)).ask(output=200)
    assert said.status_code == 402
    facts = said.json()["error"]["moorage"]["facts"]
    assert facts["scope"] == scope
    assert said.headers["x-should-retry"] == "false"
    assert not server.requests
    assert not Account.objects.exclude(calls=0).exists()
    limits.put(scope=scope, key="", usd=None, actor="user:root", now=NOW)
    server.script.append(Say("a"))
    if scope != "call":
        assert make_client(run=Run(uuid.uuid4(), "y", agent_id=uuid.uuid4(), user=user)).ask().status_code == 200


def test_a_budget_of_ones_own_goes_before_that_of_everyone(make_client: Make, settings: Any) -> None:
    settings.BUDGET = {"run": 1.0}
    one = uuid.uuid4()
    place, other = limits.Place(Scope.RUN, str(one)), limits.Place(Scope.RUN, str(uuid.uuid4()))
    limits.put(scope="run", key="", usd=2.0, actor="user:root", now=NOW)
    limits.put(scope="run", key=str(one), usd=3.0, actor="user:root", now=NOW)
    known = limits.of([place, other])
    assert (known[place].nanos, known[other].nanos) == (300 * CENT, 200 * CENT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "team", "key": "", "usd": 1},
        {"scope": "day", "key": "x", "usd": 1},
        {"scope": "run", "key": "", "usd": -1},
        {"scope": "run", "key": "", "usd": float("nan")},
        {"scope": "run", "key": "", "usd": 1, "tokens": -1},
    ],
)
def test_a_budget_that_is_none_is_refused(db: None, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadBudget):
        limits.put(actor="user:root", now=NOW, **wrong)


@pytest.mark.parametrize("text", ["", "much", "-1", "nan", "inf", "1e99"])
def test_an_amount_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadBudget):
        money.amount(text)


PRICE = Price("p", Rates(1, 10, 1, 1))


def reserved(gateway: uuid.UUID | None = None) -> ModelCall:
    """A call of the only token: 1000 tokens in, 100 out at most."""
    need = ledger.Need("openai/gpt-5", PRICE, 1000, 100)
    return ledger.reserve(token=ledger.RunToken.objects.get(), need=need, digest="d", now=NOW, gateway=gateway)


def expired(after_s: float) -> int:
    return ledger.expire(now=NOW + timedelta(seconds=after_s), pulse_s=10, after_s=60)


def test_calls_that_nobody_will_settle_are_charged_as_reserved(make_client: Make) -> None:
    client = make_client()
    reserved()
    assert [expired(10), expired(61), expired(61)] == [0, 1, 0]
    run = Account.objects.get(scope="run", key=str(client.run.run_id))
    assert (run.held_nanos, run.spent_nanos, run.tokens) == (0, 2000, 1100)


def test_calls_of_a_gateway_that_died_wait_no_longer_than_its_heart_is_still(make_client: Make) -> None:
    make_client()
    dead, alive = uuid.uuid4(), uuid.uuid4()
    calls = {gateway: reserved(gateway) for gateway in (dead, alive)}
    hearts.beat(dead, now=NOW)
    hearts.beat(alive, now=NOW)
    assert expired(9) == 0
    hearts.beat(alive, now=NOW + timedelta(seconds=9))
    assert [expired(11), expired(11)] == [1, 0]
    assert ModelCall.objects.get(state="lost").pk == calls[dead].pk
    assert (Account.objects.get(scope="day").held_nanos, expired(61)) == (2000, 1)
    assert not Pulse.objects.filter(pk=dead).exists()


@pytest.mark.parametrize(
    ("ended", "spent", "tokens"),
    [(Ended(ModelCall.State.SETTLED, Usage(10, 5)), 60, 15), (Ended(ModelCall.State.LOST, error="x"), 2000, 1100),
     (Ended(ModelCall.State.FAILED, error="x"), 0, 0)],
)  # fmt: skip
def test_a_gateway_that_was_only_thought_dead_is_believed(
    make_client: Make, ended: Ended, spent: int, tokens: int
) -> None:
    make_client()
    call = reserved(uuid.uuid4())
    assert expired(11) == 1
    for _ in range(2):
        ledger.settle(call, ended, price=PRICE, now=NOW)
    assert expired(100) == 0
    run = Account.objects.get(scope="run")
    assert (run.held_nanos, run.spent_nanos, run.held_tokens, run.tokens) == (0, spent, 0, tokens)
    assert run.calls == (ended.state != ModelCall.State.FAILED)
    assert ModelCall.objects.get().state == ended.state


def test_a_call_is_settled_once(make_client: Make) -> None:
    make_client()
    call = reserved()
    for _ in range(2):
        ledger.settle(call, Ended(ModelCall.State.SETTLED, Usage(10, 5)), price=PRICE, now=NOW)
    assert Account.objects.get(scope="run").spent_nanos == 60


def test_replies_are_forgotten_and_figures_stay(server: LlmServer, make_client: Make) -> None:
    server.script.append(Say("a"))
    make_client().ask()
    assert ledger.forget_replies(before=timezone.now()) == 1
    call = ModelCall.objects.get()
    assert (call.reply, call.input_tokens) == (None, 11)


def test_a_price_is_that_of_its_day_and_of_exactly_its_model() -> None:
    def price(label: str, on: date = TODAY, **more: Any) -> Price:
        return prices.price_of(label, on=on, own=more.get("own", ()), unknown=more.get("unknown", "dearest"))

    assert price("openai/gpt-5").rates.input_nanos == 1250
    assert price("openai/gpt-5-2025-08-07").name.startswith("openai/gpt-5 ")
    assert price("openai/gpt-5-unheard-of").name == "dearest known"
    assert price("openai/gpt-5", on=date(2020, 1, 1)).name == "dearest known"
    assert price("ollama/qwen").of(Usage(1000, 1000)) == 0
    assert price("ollama/gpt-oss:120b-cloud").of(Usage(1000, 1000)) > 0
    dearest = price("anthropic/claude-next")
    for entry in prices.listed():
        for usage in (Usage(100, 100, 50), Usage(400_000, 100, 50)):
            assert 0 < entry.price().of(usage) <= dearest.of(usage)
    with pytest.raises(PriceUnknown):
        price("anthropic/claude-next", unknown="refuse")


def test_the_price_of_a_day_stays_what_it_was_and_long_calls_cost_more_as_a_whole() -> None:
    def cost(label: str, on: date, usage: Usage) -> int:
        return prices.price_of(label, on=on, own=(), unknown="refuse").of(usage)

    million = Usage(0, 1_000_000)
    assert cost("openai/gpt-5.6-luna", date(2026, 7, 29), million) == 6 * 10**9
    assert cost("openai/gpt-5.6-luna", date(2026, 7, 30), million) == 1_200_000_000
    short, long = Usage(100_000, 1000), Usage(100_001, 1000)
    assert cost("anthropic/claude-haiku-5-5", TODAY, short) == 100_000 * 100 + 1000 * 500
    assert cost("anthropic/claude-haiku-5-5", TODAY, long) == 5 * (100_001 * 100 + 1000 * 500)
    price = prices.price_of("openai/gpt-6-sol", on=TODAY, own=(), unknown="refuse")
    assert price.most(input_tokens=300_000, output_tokens=10) == 2 * 300_000 * 2500 + 15 * 10_000


def test_an_operators_prices_go_first_and_wrong_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    listed = [{"since": "2026-01-01", "input": 1, "output": 2}, {"since": "2026-06-01", "input": 3, "output": 4}]
    path.write_text(json.dumps({"openai/mine": listed}))
    own = own_prices.read_own(path)
    found = [prices.price_of("openai/mine", on=day, own=own, unknown="refuse").rates.input_nanos
             for day in (date(2026, 2, 1), date(2026, 7, 1))]  # fmt: skip
    assert found == [1000, 3000]
    for wrong in ("{", "[]", '{"a": {"input": 1}}', '{"a": {"since": "x", "input": 1, "output": 1}}',
                  '{"a": {"since": "2026-01-01", "input": -1, "output": 1}}'):  # fmt: skip
        other = tmp_path / f"{abs(hash(wrong))}.json"
        other.write_text(wrong)
        with pytest.raises(BadPriceFile):
            own_prices.read_own(other)
    with pytest.raises(BadPriceFile):
        own_prices.read_own(tmp_path / "absent.json")


LONG = {"above": 1000, "input": 4, "cached": 2, "written": 5, "output": 8}
OWN = {"since": "2026-01-01", "input": 2, "cached": 1, "written": 3, "output": 4, "long": [LONG]}


def own_price(tmp_path: Path, document: Any) -> Price:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"openai/mine": document}))
    own_prices._read.cache_clear()  # a file that changes twice within one tick of the clock is not this test's matter
    return prices.price_of("openai/mine", on=TODAY, own=own_prices.read_own(path), unknown="refuse")


def test_an_operators_price_says_what_the_cache_and_long_calls_cost(tmp_path: Path) -> None:
    price = own_price(tmp_path, OWN)
    parts = {"output_tokens": 10, "cached_tokens": 300, "written_tokens": 200}
    assert price.of(Usage(1000, **parts)) == 500 * 2000 + 300 * 1000 + 200 * 3000 + 10 * 4000
    assert price.of(Usage(1001, **parts)) == 501 * 4000 + 300 * 2000 + 200 * 5000 + 10 * 8000
    steeper = own_price(tmp_path, {**OWN, "long": [LONG, {"above": 5000, "input": 10, "output": 20}]})
    assert steeper.of(Usage(5001, 1, cached_tokens=5000)) == 5001 * 10_000 + 20_000  # no discount is known there
    assert own_price(tmp_path, {**OWN, "long": LONG}) == price
    assert own_price(tmp_path, {"since": "2026-01-01", "input": 2, "output": 4}).of(Usage(9, 1, 9)) == 9 * 2000 + 4000


def test_an_operators_own_list_can_say_all_of_ours(tmp_path: Path) -> None:
    for entry in prices.listed():
        tiers = [{"above": above, **asdict(usd)} for above, usd in entry.tiers]
        written = {"since": entry.since.isoformat(), **asdict(entry.usd), "long": tiers}
        found = own_price(tmp_path, written)
        assert (found.rates, found.tiers) == (entry.price().rates, entry.price().tiers)


def test_what_is_held_covers_each_tier_that_a_call_may_end_in(tmp_path: Path) -> None:
    cheaper = own_price(tmp_path, {**OWN, "long": {**LONG, "input": 0.5, "cached": 0.5, "written": 0.5, "output": 1}})
    most = cheaper.most(input_tokens=1500, output_tokens=10)
    assert most == 1000 * 3000 + 10 * 4000  # a call that turns out to be just below the bound costs more
    for tokens in (0, 1, 999, 1000, 1001, 1500):
        for cached in (0, tokens):
            assert cheaper.of(Usage(tokens, 10, cached)) <= most
    assert own_price(tmp_path, OWN).most(input_tokens=1500, output_tokens=10) == 1500 * 5000 + 10 * 8000


def test_a_model_nobody_knows_costs_as_much_as_the_operators_dearest_tier(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"openai/mine": {**OWN, "long": {"above": 10, "input": 5000, "output": 6000}}}))
    unknown = prices.price_of("openai/new", on=TODAY, own=own_prices.read_own(path), unknown="dearest")
    assert unknown.of(Usage(11, 1, cached_tokens=11)) == 11 * 5_000_000 + 6_000_000


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"long": {"above": 0, "input": 1, "output": 1}}, "above is a whole number"),
        ({"long": {"above": True, "input": 1, "output": 1}}, "above is a whole number"),
        ({"long": {"input": 1, "output": 1}}, "long: above is missing"),
        ({"long": {"above": 9, "input": 1}}, "long: output is missing"),
        ({"long": {"above": 9, "input": 1, "output": 1, "since": "2026-01-01"}}, "long: unknown since"),
        ({"long": [LONG, LONG]}, "rise from tier to tier"),
        ({"long": 7}, "long is no JSON object"),
        ({"output": None}, "dollars per million tokens"),
        ({"input": "2"}, "dollars per million tokens"),
        ({"cached": float("nan")}, "dollars per million tokens"),
        ({"batch": 1}, "unknown batch"),
        ({"since": 20260101}, "since is a day"),
    ],
)
def test_a_wrong_price_is_refused_and_named(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadPriceFile, match=f"own.json: openai/mine.*{words}"):
        own_price(tmp_path, {**OWN, **wrong})


def test_the_refusal_says_what_there_is_and_what_is_needed(db: None, settings: Any) -> None:
    settings.BUDGET = {"run": 0.05}
    token = ledger.RunToken.objects.create(digest="x", run_id=uuid.uuid4(), lineage="l", models_allowed=LABELS,
                                           created_at=NOW, expires_at=NOW)  # fmt: skip
    need = ledger.Need("openai/gpt-5", Price("p", Rates(1, 10_000, 1, 1)), 0, 10_000)
    with pytest.raises(
        BudgetExhausted, match=r"this run is \$0\.05\d*, of which \$0\.00 is spent.*needs \$0\.10"
    ) as told:
        ledger.reserve(token=token, need=need, digest="d", now=NOW)
    assert told.value.facts["needs_usd"] == 0.1
