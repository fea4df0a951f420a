"""What is left of a berth on this machine and in the ledger, whatever the test's own process can reach."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import docker

from agents.models import Agent
from resources import leases, workspaces
from resources.sandboxes import local
from resources.sandboxes.protocol import Profile
from tests.patience import eventually

ENGINE = "unix:///var/run/docker.sock"


def containers(settings: Any) -> list[Any]:
    """This install's, as the machine's engine has them."""
    with closing(docker.DockerClient(base_url=ENGINE)) as engine:
        return list(engine.containers.list(all=True, filters={"label": f"moorage.install={settings.INSTALL_ID}"}))


def clear_away(settings: Any) -> None:
    """At the end of a test, whatever became of it."""
    with closing(docker.DockerClient(base_url=ENGINE)) as engine:
        for name in [container.name for container in containers(settings)]:
            engine.containers.get(name).remove(force=True)
    for name in workspaces.names():
        workspaces.remove(workspaces.place_of(name))


def assert_nothing_left(agent: Agent, settings: Any) -> None:
    """Neither a lease nor a container, process, file, mount or loop device."""
    key = str(agent.pk)
    assert leases.live(owner=agent.owner) == []
    assert [container.name for container in containers(settings) if key in container.name] == []
    assert [path.name for path in workspaces.root().iterdir() if key in path.name] == []
    for generation in range(1, Agent.objects.get(pk=agent.pk).generation + 1):
        place = workspaces.place_of(f"{key}-{generation}")
        name = local.name_of(Profile(owner=agent.owner, generation=generation, workspace=place))
        assert local.launchers(name) == []
    # A container of somebody else that starts at this moment holds a copy of each mount until it has its own root.
    eventually(lambda: not [name for name in workspaces.names() if key in name])
