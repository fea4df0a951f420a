"""Where a berth is placed by what its template says of sizes and tiers, and what it is then given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, lifecycle, outfits, placement
from agents.models import Agent
from resources import hosts, leases
from resources.models import Lease
from resources.reasons import in_words
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Tier
from templates_app.faults import TemplateFault
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: mine\nversion: 1.0.0\nextends: base\n"


@pytest.fixture
def write(settings: Any, data_directory: Path) -> Any:
    directory = data_directory / "templates"
    directory.mkdir()
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], directory]
    return lambda body: (directory / "mine.yaml").write_text(HEAD + body)


RANGE = "spec: {size: {memory_mb: {request: 2048, min: 256}, cpu_millis: 100}}\n"


def taken() -> tuple[int, bool]:
    agent = factories.placed("mine")
    found = agent.resolved["taken"]
    return found["memory_mb"], found["lighter"]


def test_a_range_takes_as_much_as_is_free_and_waits_only_below_the_least(write: Any) -> None:
    write(RANGE)
    host = factories.host(memory_mb=3000)
    assert taken() == (2048, False)
    assert taken() == (952, True)
    waits = factories.agent("mine")
    assert not placement.place(waits.pk, now=timezone.now())
    waits = Agent.objects.get(pk=waits.pk)
    assert waits.blocked_by[0] == {"kind": "memory", "host": "node-a", "needs_mb": 256, "free_mb": 0, "of_mb": 3000}
    assert hosts.usage(host).memory_mb == 3000


def test_a_range_does_not_pass_a_quota(write: Any, settings: Any) -> None:
    write(RANGE)
    settings.USER_QUOTA = {"memory_mb": 300}
    factories.host()
    agent = factories.placed("mine", by=factories.user())
    assert agent.resolved["taken"]["memory_mb"] == 256


def test_a_lighter_size_is_taken_where_not_even_the_least_is_free(write: Any) -> None:
    write("spec: {size: {memory_mb: {request: 2048, min: 1024}, lighter: {memory_mb: 512}}}\n")
    factories.host(memory_mb=1536)
    assert taken() == (1536, True)
    retired = Agent.objects.get()
    lifecycle.request_stop(retired.pk, actor="user:ada", reason="test")
    berths.clear_berth(retired.pk, generation=retired.generation + 1, worker="worker:node-a")
    hosts.register(
        name="node-a", capacity=hosts.Capacity(4, 600, 4000, 8192, 21000, 21099),
        facts={"cores": 2, "tiers": [{"tier": "process", "available": True, "reason": "", "remedy": ""}]},
        now=timezone.now(),
    )  # fmt: skip
    assert taken() == (512, True)


def test_rules_know_what_was_free_on_the_host_and_which_tiers_it_has(write: Any) -> None:
    write(
        RANGE
        + "adapt:\n"
        + "  - {when: host.free_memory_mb < 1000, set: {environment: {TIGHT: '${host.free_memory_mb}'}}}\n"
        + "  - {when: \"'container' in host.tiers\", set: {environment: {ENGINE: here}}}\n"
    )
    factories.host(memory_mb=3000)
    roomy, tight = factories.placed("mine"), factories.placed("mine")

    def environment(agent: Agent) -> dict[str, str]:
        variables = outfits.variables_of(agent, workspace="/w", ports={})
        fitted = outfits.outfit("mine", variables=variables)
        assert fitted.spec["size"]["memory_mb"] == agent.resolved["taken"]["memory_mb"], "the ledger and the spec agree"
        found: dict[str, str] = fitted.spec["environment"]
        return found

    assert "TIGHT" not in environment(roomy)
    assert environment(tight)["TIGHT"] == "952"
    assert "ENGINE" not in environment(tight)


SMALL_HERE = """spec: {size: {memory_mb: 2048, cpu_millis: 100}}
adapt:
  - when: host.memory_mb < 1500
    set: {size: {memory_mb: 700, disk_mb: 64}, ports: [{name: aside}]}
"""


def reserved(agent: Agent) -> tuple[int, int, set[str]]:
    """What the ledger holds for an agent: memory, disk, the names of its ports."""
    held = leases.live(owner=agent.owner)
    amounts = {lease.kind: lease.amount for lease in held}
    names = {lease.name for lease in held if lease.kind == Lease.Kind.PORT}
    return amounts[Lease.Kind.MEMORY], amounts[Lease.Kind.DISK], names


def test_what_a_rule_says_of_size_and_ports_is_what_is_reserved_on_that_host(write: Any) -> None:
    write(SMALL_HERE)
    factories.host("small", memory_mb=1400)
    agent = factories.placed("mine")
    assert reserved(agent) == (700, 64, {"aside"})
    assert agent.resolved["taken"] == {
        "memory_mb": 700, "cpu_millis": 100, "disk_mb": 64, "lighter": False, "warm": False,
    }  # fmt: skip
    berths.open_berth(agent.pk, generation=agent.generation, worker="worker:node-a")
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.state == Agent.State.RUNNING, agent.error
    assert agent.sandbox is not None
    assert agent.sandbox["profile"]["memory_mb"] == 700
    assert list(agent.sandbox["profile"]["ports"]) == ["aside"]
    assert agent.resolved["spec"]["size"]["memory_mb"] == 700
    stopping = lifecycle.request_stop(agent.pk, actor="user:ada", reason="test")
    berths.clear_berth(agent.pk, generation=stopping.generation, worker="worker:node-a")
    assert not leases.live(owner=agent.owner)


def test_each_host_is_asked_for_what_the_template_wants_of_it_and_of_no_other(write: Any) -> None:
    write(SMALL_HERE)
    factories.host("large", memory_mb=3000)
    factories.host("small", memory_mb=1400)
    agents = [factories.placed("mine") for _ in range(3)]
    taken = sorted((agent.host.name, reserved(agent)[0]) for agent in agents if agent.host)
    assert taken == [("large", 2048), ("small", 700), ("small", 700)]
    waits = factories.agent("mine")
    assert not placement.place(waits.pk, now=timezone.now())
    blocked = {one["host"]: one["needs_mb"] for one in Agent.objects.get(pk=waits.pk).blocked_by}
    assert blocked == {"large": 2048, "small": 700}


def test_a_rule_that_asks_for_a_stronger_tier_is_heeded_by_placement(write: Any) -> None:
    write("adapt: [{when: \"host.name == 'weak'\", set: {isolation: {min: container}}}]\n")
    factories.host("weak", tiers=[Tier.PROCESS])
    agent = factories.agent("mine")
    assert not placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).blocked_by == [{"kind": "isolation", "host": "weak", "needs": "container"}]
    other = factories.host("other", tiers=[Tier.PROCESS])
    assert placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).host == other


def test_a_host_without_the_facts_that_a_rule_needs_is_passed_over_and_says_so(write: Any) -> None:
    write("adapt: [{when: host.gpu > 0, set: {size: {memory_mb: 700}}}]\n")
    factories.host()
    agent = factories.agent("mine")
    assert not placement.place(agent.pk, now=timezone.now())
    (reason,) = Agent.objects.get(pk=agent.pk).blocked_by
    assert (reason["kind"], reason["host"], reason["code"]) == ("template", "node-a", "template.invalid")
    assert "on node-a" in in_words(reason)
    assert "host.gpu" in in_words(reason)


def test_a_size_that_refers_to_the_host_is_the_size_that_is_reserved(write: Any) -> None:
    write("variables: {SHARE: {type: integer, default: 700}}\nspec: {size: {memory_mb: '${SHARE}', cpu_millis: 100}}\n")
    factories.host()
    assert reserved(factories.placed("mine"))[0] == 700
    write("spec: {size: {memory_mb: '${host.memory_mb}', cpu_millis: 100}}\n")
    factories.host("all-of-it", memory_mb=9000)
    agent = factories.placed("mine")
    assert (agent.host and agent.host.name, reserved(agent)[0]) == ("all-of-it", 9000)


def test_a_size_that_nobody_knows_before_there_is_a_berth_is_said_and_not_guessed(write: Any) -> None:
    write("spec: {size: {memory_mb: '${port.web}'}}\n")
    factories.host()
    agent = factories.agent("mine")
    assert not placement.place(agent.pk, now=timezone.now())
    assert [one["code"] for one in Agent.objects.get(pk=agent.pk).blocked_by] == ["template.size_unknown"]


def test_a_retried_agent_meets_its_new_host_with_its_ranges(write: Any) -> None:
    write(RANGE)
    factories.host(memory_mb=300)
    agent = factories.placed("mine")
    Agent.objects.filter(pk=agent.pk).update(resolved={**agent.resolved, "spec": {"size": {}}})
    with_error = lifecycle.fail(
        agent.pk, generation=agent.generation, fault=berths.SandboxFailed("test"), actor="system"
    )
    assert with_error is not None
    berths.clear_berth(agent.pk, generation=with_error.generation, worker="worker:node-a")
    factories.host("large", memory_mb=4096)
    lifecycle.retry(agent.pk, actor="user:ada", reason="test")
    assert placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).resolved["taken"]["memory_mb"] == 2048


def test_only_a_host_with_the_named_tier_is_chosen(write: Any) -> None:
    write("spec: {isolation: {tier: process}}\n")
    factories.host("strong", tiers=[Tier.CONTAINER, Tier.LANDLOCK])
    agent = factories.agent("mine")
    assert not placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).blocked_by == [{"kind": "isolation", "host": "strong", "needs": "process"}]
    right = factories.host("right", tiers=[Tier.CONTAINER, Tier.PROCESS])
    assert placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).host == right


@pytest.mark.needs_bubblewrap
@pytest.mark.needs_landlock
@pytest.mark.parametrize("tier", ["process", "landlock"])
def test_the_named_tier_is_used_although_a_stronger_one_is_there(write: Any, tier: str) -> None:
    write(f"spec: {{isolation: {{tier: {tier}}}}}\n")
    factories.host(tiers=[Tier.CONTAINER, Tier.PROCESS, Tier.LANDLOCK])
    agent = factories.placed("mine")
    berths.open_berth(agent.pk, generation=agent.generation, worker="worker:node-a")
    agent = Agent.objects.get(pk=agent.pk)
    assert (agent.state, agent.tier) == (Agent.State.RUNNING, tier), agent.error
    assert selection.adopt(agent.sandbox or {}).run(Command(argv=("true",))).ok
    stopping = lifecycle.request_stop(agent.pk, actor="user:ada", reason="test")
    berths.clear_berth(agent.pk, generation=stopping.generation, worker="worker:node-a")


def test_a_tier_that_the_operator_does_not_allow_fails_with_the_reason(write: Any, settings: Any) -> None:
    write("spec: {isolation: {tier: process}}\n")
    settings.ISOLATION = "landlock"
    factories.host(tiers=[Tier.PROCESS, Tier.LANDLOCK])
    agent = factories.placed("mine")
    berths.open_berth(agent.pk, generation=agent.generation, worker="worker:node-a")
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.error is not None
    assert agent.error["code"] == "isolation.unavailable"
    assert "above the tier landlock that the operator prefers" in agent.error["detail"]
    berths.clear_berth(agent.pk, generation=agent.generation, worker="worker:node-a")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("spec: {isolation: {min: container, tier: process}}\n", "is process, and isolation.min is container"),
        ("spec: {services: [{name: db, command: [x], port: db}]}\n", "names the port 'db', which is not in ports"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(write: Any, body: str, words: str) -> None:
    write(body)
    with pytest.raises(TemplateFault, match=words):
        factories.agent("mine")
