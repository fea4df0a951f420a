"""The floor beneath every container, and that the engine really applies it."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from resources.sandboxes import policy, selection
from resources.sandboxes.protocol import Profile, SandboxGone, Tier

from .conftest import Opener, shell

PROFILE = Profile(
    owner="agent:1", generation=3, workspace=Path("/srv/w"), memory_mb=512, cpu_millis=250, pids=99, install="mine"
)


def made(**wanted: Any) -> dict[str, Any]:
    return policy.container(PROFILE, **{"name": "n", "uid": 5, "gid": 5, "tools": (), "launcher": Path("/l"), **wanted})


def test_floor_is_what_the_design_says() -> None:
    arguments = made()
    expected = {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "init": True,
        "pids_limit": 99,
        "mem_limit": 512 << 20,
        "memswap_limit": 512 << 20,
        "cpu_quota": 25_000,
        "user": "5:5",
        "labels": {
            "moorage.sandbox": "n",
            "moorage.owner": "agent:1",
            "moorage.generation": "3",
            "moorage.install": "mine",
        },
    }
    assert {name: arguments[name] for name in expected} == expected
    assert not {"privileged", "cap_add", "devices", "volumes", "ports", "pid_mode"} & set(arguments)


def test_only_the_workspace_is_writable() -> None:
    arguments = made(tools=(Path("/opt/tool"), Path("/srv/tool")))
    writable = [mount["Target"] for mount in arguments["mounts"] if not mount["ReadOnly"]]
    assert writable == ["/srv/w"]
    assert "noexec" in arguments["tmpfs"]["/tmp"]


@pytest.mark.parametrize(("uid", "gid"), [(0, 5), (5, 0), (0, 0)])
def test_root_is_refused(uid: int, gid: int) -> None:
    with pytest.raises(ValueError, match="root"):
        made(uid=uid, gid=gid)


@pytest.mark.needs_docker
def test_engine_applies_the_floor(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER, memory_mb=128, pids=50)
    with closing(docker.from_env()) as client:
        host = client.containers.get(sandbox.reference()["name"]).attrs["HostConfig"]
    assert (host["NetworkMode"], host["Memory"], host["MemorySwap"]) == ("none", 128 << 20, 128 << 20)
    assert (host["PidsLimit"], host["ReadonlyRootfs"], host["CapDrop"]) == (50, True, ["ALL"])
    assert not host["Privileged"]
    assert shell(sandbox, "id -u").stdout.strip() not in (b"0", b"")
    assert not shell(sandbox, "cp /bin/true /tmp/t && /tmp/t").ok


@pytest.mark.needs_docker
def test_toolchain_beneath_a_private_home_works(opener: Opener) -> None:
    environment = Path(os.environ.get("VIRTUAL_ENV") or sys.prefix)
    sandbox = opener(Tier.CONTAINER, readable=(environment,))
    outcome = shell(sandbox, f"{environment}/bin/python -c 'import pytest; print(pytest.__name__)'")
    assert outcome.stdout == b"pytest\n", outcome.text()


@pytest.mark.needs_docker
def test_container_of_our_name_with_other_labels_is_neither_adopted_nor_removed(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER)
    name = sandbox.reference()["name"]
    with closing(docker.from_env()) as client:
        client.containers.get(name).remove(force=True)
        stranger = client.containers.create(policy.DEFAULT_IMAGE, name=name, labels={"moorage.owner": "else"})
        try:
            with pytest.raises(SandboxGone):
                selection.adopt(sandbox.reference())
            sandbox.close()
            assert client.containers.get(name).id == stranger.id
        finally:
            stranger.remove(force=True)


@pytest.mark.needs_docker
def test_stopped_container_is_started_again_by_adoption(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER)
    with closing(docker.from_env()) as client:
        client.containers.get(sandbox.reference()["name"]).kill()
    assert not sandbox.alive()
    assert shell(selection.adopt(sandbox.reference()), "echo back").stdout == b"back\n"
