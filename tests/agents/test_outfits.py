"""Outfits: what a template gives an agent, with secrets masked wherever it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import outfits, placement
from agents.models import Agent
from events.models import Event
from resources.admission import Size
from resources.sandboxes.protocol import Tier
from templates_app.faults import TemplateAbstract
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_template_gives_size_isolation_and_where_it_comes_from() -> None:
    fitted = outfits.outfit("python-web")
    assert fitted.size == Size(memory_mb=1024, cpu_millis=500, disk_mb=512, ports=("web",))
    assert fitted.minimum is Tier.LANDLOCK
    assert {name for name, _version, _digest in fitted.layers} == {"base", "python", "web", "python-web"}
    assert json.loads(json.dumps(fitted.as_dict()))["spec"]["environment"]["PORT"] == "${port.web}"


def test_an_abstract_template_is_refused() -> None:
    with pytest.raises(TemplateAbstract):
        outfits.outfit("web")


def test_run_time_variables_are_those_of_the_host_and_the_berth() -> None:
    factories.host(memory_mb=4096)
    agent = factories.placed("python-web", name="worker one")
    known = outfits.variables_of(agent, workspace="/w/1", ports={"web": 21007})
    assert known == {
        "agent.id": str(agent.pk), "agent.name": "worker one", "workspace.dir": "/w/1", "host.name": "node-a",
        "host.cpus": 2, "host.memory_mb": 4096, "port.web": 21007,
        # as it was when it was chosen, this berth's own share still free
        "host.free_memory_mb": 4096, "host.free_cpu_millis": 4000, "host.free_disk_mb": 8192,
        "host.tiers": ["process", "landlock"],
    }  # fmt: skip
    spec = outfits.outfit("python-web", variables=known).clear
    assert (spec["environment"]["PORT"], spec["environment"]["MOORAGE_AGENT"]) == ("21007", "worker one")


def test_an_unplaced_agent_has_no_run_time_variables() -> None:
    with pytest.raises(ValueError, match="placed"):
        outfits.variables_of(factories.agent(), workspace="/w", ports={})


def test_a_secret_of_a_template_never_reaches_a_row_or_an_event(data_directory: Path, settings: Any) -> None:
    folder = data_directory / "templates"
    folder.mkdir()
    (folder / "keyed.yaml").write_text(
        "apiVersion: moorage/v1\nkind: Template\nname: keyed\nversion: 1.0.0\nextends: base\n"
        "variables:\n  TOKEN:\n    description: A key.\n    secret: true\n"
        "spec:\n  environment:\n    API_TOKEN: ${TOKEN}\n"
    )
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES, folder]
    factories.host()
    agent = factories.agent("keyed")
    assert placement.place(agent.pk, now=timezone.now())
    given = {"agent.name": "ada", "TOKEN": "hunter2-hunter2"}
    fitted = outfits.outfit("keyed", variables=given)
    assert fitted.clear["environment"]["API_TOKEN"] == "hunter2-hunter2"
    assert "hunter2" not in repr(fitted)
    assert "hunter2" not in json.dumps(fitted.as_dict())
    agent = Agent.objects.get(pk=agent.pk)
    assert agent.resolved["spec"]["environment"]["API_TOKEN"]
    assert "hunter2" not in json.dumps(agent.resolved)
    assert "hunter2" not in json.dumps(list(Event.objects.values_list("data", flat=True)))
