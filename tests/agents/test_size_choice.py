"""A size by request: what a template grants, what no host lends, and that it reaches the ledger and the berth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import lifecycle, outfits, placement, size_choice
from agents.models import Agent
from resources import hosts
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: {name}\nversion: 1.0.0\nextends: {extends}\n"


@pytest.fixture
def write(settings: Any, data_directory: Path) -> Any:
    directory = data_directory / "templates"
    directory.mkdir()
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], directory]

    def written(body: str, *, name: str = "mine", extends: str = "base") -> None:
        (directory / f"{name}.yaml").write_text(HEAD.format(name=name, extends=extends) + body)

    return written


GRANTS = "spec: {size: {memory_mb: {request: 2048, min: 256}, at_most: {memory_mb: 4096, cpu_millis: 100}}}\n"


def asked(size: dict[str, Any], template: str = "mine") -> Agent:
    return lifecycle.request_spawn(template=template, actor="user:ada", fitted=size_choice.chosen(template, size))


def placed(size: dict[str, Any]) -> Agent:
    agent = asked(size)
    assert placement.place(agent.pk, now=timezone.now()), Agent.objects.get(pk=agent.pk).blocked_by
    return Agent.objects.get(pk=agent.pk)


def test_a_template_grants_from_its_least_to_its_most_and_nothing_that_it_does_not_name(write: Any) -> None:
    write(GRANTS)
    granted = size_choice.bounds(outfits.outfit("mine"))
    # Less than the template takes is no choice either, where it names no least.
    assert granted == {"memory_mb": (256, 4096), "cpu_millis": (500, 500), "disk_mb": (512, 512)}


@pytest.mark.parametrize(
    ("size", "pointer", "remedy"),
    [({"memory_mb": 4097}, "/size/memory_mb", "Choose from 256 to 4096"), ({"memory_mb": 255}, "/size", "256"),
     ({"disk_mb": 513}, "/size/disk_mb", "Leave it out"), ({"memory_mb": -1}, "/size/memory_mb", "256"),
     ({"memory_mb": True}, "/size", "whole number"), ({"memory_mb": "2 GB"}, "/size", "whole number"),
     ({"pids": 9}, "/size", "memory_mb, cpu_millis, disk_mb"), ({"memory_mb": 1.5}, "/size", "whole number")],
)  # fmt: skip
def test_what_is_not_granted_is_refused_with_what_would_be(write: Any, size: Any, pointer: str, remedy: str) -> None:
    write(GRANTS)
    with pytest.raises(size_choice.SizeNotGranted) as refused:
        asked(size)
    assert refused.value.pointer.startswith(pointer)
    assert refused.value.http_status == 400
    assert remedy in refused.value.remedy_text
    assert not Agent.objects.exists()


def test_more_than_any_host_lends_is_refused_and_not_waited_for(write: Any) -> None:
    write(GRANTS)
    assert asked({"memory_mb": 4000}).pk, "before there is a host nobody knows what is lent"
    factories.host(memory_mb=3000)
    with pytest.raises(size_choice.SizeNotLent) as refused:
        asked({"memory_mb": 3001})
    assert "at most 3000" in refused.value.remedy_text


def test_exactly_what_was_chosen_is_reserved_and_stays_with_the_agent(write: Any) -> None:
    write(GRANTS)
    host = factories.host(memory_mb=4000)
    agent = placed({"memory_mb": 3000})
    assert (agent.resolved["chosen"], agent.resolved["taken"]["memory_mb"]) == ({"memory_mb": 3000}, 3000)
    assert hosts.usage(host).memory_mb == 3000
    waits = asked({"memory_mb": 1500})  # a range would have made do with the 1000 that are free
    assert not placement.place(waits.pk, now=timezone.now())
    assert Agent.objects.get(pk=waits.pk).blocked_by[0]["needs_mb"] == 1500


def test_on_a_host_with_rules_of_its_own_the_choice_is_asked_about_there(write: Any) -> None:
    write(GRANTS + "adapt: [{when: host.memory_mb < 5000, set: {size: {at_most: {memory_mb: 2500}}}}]\n")
    factories.host(memory_mb=4500)
    agent = asked({"memory_mb": 3000})
    assert not placement.place(agent.pk, now=timezone.now())
    reason = Agent.objects.get(pk=agent.pk).blocked_by[0]
    assert (reason["kind"], reason["code"]) == ("template", "template.size_not_granted")
    factories.host("roomy", memory_mb=64_000)
    assert placement.place(agent.pk, now=timezone.now())
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.host is not None
    assert (agent.host.name, agent.resolved["taken"]["memory_mb"]) == ("roomy", 3000)


@pytest.mark.parametrize(
    ("final", "granted"), [("size.memory_mb", (2048, 2048)), ("size.at_most.memory_mb", (256, 4096))]
)
def test_what_is_final_is_not_for_choice(write: Any, final: str, granted: tuple[int, int]) -> None:
    write(f"final: [{final}]\nspec: {{size: {{memory_mb: 2048, at_most: {{memory_mb: 4096}}}}}}\n", name="below")
    more = "spec: {size: {at_most: {memory_mb: 9000}}}\n" if final == "size.memory_mb" else ""
    least = "" if final == "size.memory_mb" else "spec: {size: {memory_mb: {request: 2048, min: 256}}}\n"
    write(more or least, extends="below")
    assert size_choice.bounds(outfits.outfit("mine"))["memory_mb"] == granted
