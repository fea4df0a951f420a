"""The floor beneath every container, and that the engine really applies it."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from resources.sandboxes import mounts, policy, selection
from resources.sandboxes.engine import gvisor_lacks
from resources.sandboxes.protocol import IsolationUnavailable, Profile, SandboxGone, Tier

from .conftest import Opener, shell

PROFILE = Profile(
    owner="agent:1", generation=3, workspace=Path("/srv/w"), memory_mb=512, cpu_millis=250, pids=99, install="mine"
)


def made(**wanted: Any) -> dict[str, Any]:
    programs = policy.Programs(launcher=Path("/l"), agent=Path("/a"), door=Path("/srv/w.door"))
    return policy.container(
        wanted.pop("profile", PROFILE),
        **{"name": "n", "uid": 5, "gid": 5, "tools": (), "programs": programs, **wanted},
    )


def test_floor_is_what_the_design_says() -> None:
    arguments = made()
    expected = {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "read_only": True,
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
    forbidden = (
        "privileged cap_add devices device_cgroup_rules volumes volumes_from ports pid_mode uts_mode userns_mode"
    )
    assert not set(forbidden.split()) & set(arguments)
    assert arguments["ipc_mode"] == "private"
    options = arguments["security_opt"]
    assert isinstance(options, list)
    assert options[0] == "no-new-privileges:true"
    assert options[1].startswith("seccomp={")
    assert len(options) == 2


def test_without_an_agent_an_init_reaps() -> None:
    programs = policy.Programs(launcher=Path("/l"), agent=Path("/a"), door=None)
    arguments = made(programs=programs)
    assert (arguments["entrypoint"], arguments["init"]) == (["sleep"], True)
    assert made()["init"] is False, "the agent itself is the first process: nobody inside can signal it"


def test_only_the_workspace_is_writable() -> None:
    arguments = made(tools=(Path("/opt/tool"), Path("/srv/tool")))
    writable = [mount["Target"] for mount in arguments["mounts"] if not mount["ReadOnly"]]
    assert writable == ["/srv/w", "/run/moorage/door"]
    assert "noexec" in arguments["tmpfs"]["/tmp"]


@pytest.mark.parametrize(("uid", "gid"), [(0, 5), (5, 0), (0, 0), (-1, 5)])
def test_root_is_refused(uid: int, gid: int) -> None:
    with pytest.raises(policy.ProfileRefused, match="root"):
        made(uid=uid, gid=gid)


@pytest.mark.parametrize(
    "wanted",
    [
        {"memory_mb": 0},
        {"memory_mb": -1},
        {"pids": 0},
        {"pids": -1},
        {"cpu_millis": 0},
        {"runtime": "nvidia"},
        {"runtime": "runc --privileged"},
    ],
)
def test_limits_that_are_none_and_other_runtimes_are_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(policy.ProfileRefused):
        made(profile=dataclasses.replace(PROFILE, **wanted))


@pytest.mark.parametrize(
    "workspace",
    [
        "/",
        "/etc",
        "/etc/moorage",
        "/proc",
        "/proc/1/root",
        "/sys/fs/cgroup",
        "/dev/shm/x",
        "/run/x",
        "/var/run/x",
        "/root",
        "/home",
        "/var",
        "/var/lib/docker/x",
        "/srv/../etc/x",
        "//srv/x",
        "srv/x",
        "/boot/x",
        "/tmp",
    ],
)
def test_no_workspace_that_belongs_to_the_host_is_mounted(workspace: str) -> None:
    with pytest.raises(mounts.MountRefused):
        made(profile=dataclasses.replace(PROFILE, workspace=Path(workspace)))


@pytest.mark.parametrize(
    "directory",
    [
        "/",
        "/srv",
        "/srv/w",
        "/proc",
        "/proc/self",
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/dev",
        "/etc",
        "/etc/ssl",
        "/root",
        "/home",
        "/var/lib/docker",
        "/var/lib/containerd/io",
        "/opt/../etc",
        "relative",
    ],
)
def test_no_directory_above_the_workspace_or_of_the_host_is_mounted(directory: str) -> None:
    with pytest.raises(mounts.MountRefused):
        made(tools=(Path("/opt/tool"), Path(directory)))


def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    workspace = tmp_path / "berths" / "w"
    workspace.mkdir(parents=True)
    for name, target in {"proc": "/proc", "above": str(tmp_path / "berths"), "etc": "/etc/ssl"}.items():
        (tmp_path / name).symlink_to(target)
        with pytest.raises(mounts.MountRefused):
            mounts.check(workspace=workspace, readable=(tmp_path / name,))
    (tmp_path / "w2").symlink_to(workspace)
    with pytest.raises(mounts.MountRefused, match="link"):
        mounts.check(workspace=tmp_path / "w2", readable=())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "engine.sock"))
        with pytest.raises(mounts.MountRefused, match="socket"):
            mounts.check(workspace=workspace, readable=(tmp_path / "engine.sock",))
    mounts.check(workspace=workspace, readable=(tmp_path / "berths" / "w" / "inner", Path("/opt/tool")))


def test_a_runtime_is_passed_on() -> None:
    assert made(profile=dataclasses.replace(PROFILE, runtime="runsc"))["runtime"] == "runsc"
    assert "runtime" not in made()


@pytest.mark.needs_docker
def test_a_runtime_that_the_engine_lacks_fails_closed(tmp_path: Path) -> None:
    with closing(docker.from_env()) as client:
        has_gvisor = "runsc" in client.info()["Runtimes"]
    reason = selection.availabilities(fresh=True)[0].reason
    assert ("not installed" not in reason) is has_gvisor
    profile = Profile(owner="agent:test", generation=1, workspace=tmp_path / "berth", runtime="runsc-missing")
    with pytest.raises(IsolationUnavailable, match="no runtime") as caught:
        selection.open_sandbox(profile, minimum=Tier.CONTAINER, allow_bare=False)
    assert "gVisor" in caught.value.remedy_text


@pytest.mark.needs_docker
def test_what_gvisor_lacks_is_said_with_the_way_to_get_it() -> None:
    with closing(docker.from_env()) as client:
        has_gvisor = "runsc" in client.info()["Runtimes"]
    missing, remedy = gvisor_lacks()
    assert (missing == "") is (remedy == "") is has_gvisor
    assert has_gvisor or "runsc install" in remedy


def test_gvisor_without_an_engine_asks_for_the_engine_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    missing, remedy = gvisor_lacks()
    assert missing.startswith("no Docker engine answers")
    assert remedy.startswith("Install and start Docker")


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
