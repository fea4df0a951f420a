"""docker-compose.yml: what it promises about users, ports, secrets, networks and the engine's socket."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from config.environment import TABLE
from config.parts import parts

ROOT = Path(__file__).resolve().parents[2]
OURS = {"migrate", "web", "worker", "control", "beat", "sessionhost", "gateway", "egress", "flower"}


def read(name: str) -> dict[str, Any]:
    yaml = YAML(typ="safe")
    document = yaml.load(ROOT / name)
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read("docker-compose.yml")


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found = compose["services"]
    assert isinstance(found, dict)
    return found


def test_both_generations_of_compose_can_read_it(compose: dict[str, Any]) -> None:
    assert "name" not in compose  # Debian's docker-compose 1.29 refuses it


def test_nothing_runs_as_root_or_can_become_it(services: dict[str, Any]) -> None:
    for name, service in services.items():
        uid = int(service["user"].partition(":")[0])
        assert uid > 0, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service, name
        assert "cap_add" not in service, name


def test_every_root_file_system_is_read_only_with_a_bounded_tmp(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert all("size=" in mount for mount in service["tmpfs"]), name


def test_everything_is_bounded(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"]["max-size"], name


def test_ports_are_open_on_loopback_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_database_and_redis_are_on_networks_without_a_way_out(compose: dict[str, Any]) -> None:
    for name in ("postgres", "redis"):
        for network in compose["services"][name]["networks"]:
            assert compose["networks"][network]["internal"] is True


def test_only_who_talks_to_the_outside_has_a_network_for_it(services: dict[str, Any]) -> None:
    outside = {name for name, service in services.items() if "outside" in service["networks"]}
    assert outside == {"worker", "control", "egress", "gateway"}


def test_only_the_gateway_holds_the_keys_of_models(services: dict[str, Any]) -> None:
    keys = {"openai_api_key", "anthropic_api_key"}
    assert [name for name, service in services.items() if keys & set(service.get("secrets", []))] == ["gateway"]


def test_nobody_reaches_the_engine_unless_the_overlay_is_named() -> None:
    assert "docker.sock" not in (ROOT / "docker-compose.yml").read_text()
    overlay = read("deploy/docker-compose.engine.yml")["services"]
    assert [name for name, s in overlay.items() if "docker.sock" in str(s["volumes"])] == ["worker"]


def test_the_overlay_shares_one_data_directory_among_all_of_ours() -> None:
    overlay = read("deploy/docker-compose.engine.yml")["services"]
    shared = "/var/lib/moorage:/var/lib/moorage"
    assert {name for name, service in overlay.items() if shared in service["volumes"]} == OURS


def test_secrets_come_as_files_and_never_as_values(services: dict[str, Any]) -> None:
    secret = {setting.name for setting in TABLE if setting.secret} | {"POSTGRES_PASSWORD", "MOORAGE_REDIS_URL"}
    for name, service in services.items():
        given = set(service.get("environment", {}))
        assert not given & secret, name
        files = [value for key, value in service.get("environment", {}).items() if key.endswith("_FILE")]
        assert files or name == "redis", name  # Redis reads its own by standard input
        for value in files:
            assert value.removeprefix("/run/secrets/") in service["secrets"], name


def test_every_setting_it_names_exists(services: dict[str, Any]) -> None:
    known = {setting.name for setting in TABLE} | {"MOORAGE_REDIS_URL"}
    for name in OURS:
        for key in services[name].get("environment", {}):
            assert key.removesuffix("_FILE") in known, key


# What the worker is not given, and why.
LEFT_OUT = {
    "MOORAGE_DATA": "the image sets it: it is where the volume is",
    "MOORAGE_TOOLCHAIN": "the image brings it, where the default looks for it",
    "MOORAGE_DEBUG": "not for a team",
    "MOORAGE_VOLUME_SOURCES": "a container cannot look at what its engine would mount: it is refused",
    "MOORAGE_UID_RANGE": "nothing runs as root here, so no uids are lent",
    "MOORAGE_DATABASE_KEEP_S": "config.part sets it for workers",
    "MOORAGE_WEB_PORT": "the web process alone listens there",
    "MOORAGE_FLOWER_PORT": "Flower alone listens there",
    "MOORAGE_GATEWAY_PORT": "the gateway alone listens there",
    "OPENAI_API_KEY": "the gateway alone holds keys of providers",
    "ANTHROPIC_API_KEY": "the gateway alone holds keys of providers",
    "MOORAGE_GIT_SSH_KEY_FILE": "whoever mounts a key names it in the same override",
    "MOORAGE_GIT_SSH_KNOWN_HOSTS_FILE": "whoever mounts a key names it in the same override",
    "MOORAGE_GITHUB_WEBHOOK_SECRET": "the web process alone checks what is delivered",
    "MOORAGE_FLOWER_USER": "Flower alone asks for it",
    "MOORAGE_FLOWER_PASSWORD": "Flower alone asks for it",
}


def test_an_operator_can_give_the_worker_every_setting_or_there_is_a_reason(services: dict[str, Any]) -> None:
    given = {name.removesuffix("_FILE") for name in services["worker"]["environment"]}
    assert {setting.name for setting in TABLE} - given == set(LEFT_OUT)


def test_what_is_passed_on_empty_is_the_default(services: dict[str, Any]) -> None:
    """An operator who sets nothing gets what docs/settings.md says, but where the container's limits say otherwise."""
    own = {"MOORAGE_HOST_MEMORY_MB", "MOORAGE_DATABASE_URL"}
    default = {setting.name: setting.default for setting in TABLE}
    for name, value in services["worker"]["environment"].items():
        if name not in own and (passed := re.fullmatch(r"\$\{(\w+):-(.*)\}", str(value))):
            assert passed[1] == name
            assert passed[2] in {"", default[name]}, name


def test_it_runs_the_same_parts_as_make_up(services: dict[str, Any], tmp_path: Path) -> None:
    names = {part.name for part in parts({"MOORAGE_DATA": str(tmp_path)})}
    assert names <= set(services)
    for name in names - {"redis", "migrate"}:
        assert services[name]["command"][:4] == ["python", "-m", "config.part", name]


def test_what_can_be_asked_has_a_health_check(services: dict[str, Any]) -> None:
    unasked = {name for name, service in services.items() if "healthcheck" not in service}
    assert unasked == {"migrate", "beat", "egress"}


def test_the_script_of_secrets_makes_every_one_that_is_named(compose: dict[str, Any], tmp_path: Path) -> None:
    runs: list[dict[str, str]] = []
    for _ in range(2):
        subprocess.run([ROOT / "deploy" / "secrets.sh", str(tmp_path / "s")], check=True, capture_output=True)
        runs.append({path.name: path.read_text() for path in (tmp_path / "s").iterdir()})
    made = runs[0]
    assert runs[1] == made  # what is there stays
    assert set(made) == set(compose["secrets"])
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert made["redis_password"] in made["redis_url"]
    assert len(made["secret_key"]) >= 60


def test_images_and_compose_file_agree_on_names() -> None:
    wanted = dict(re.findall(r"\$\{(MOORAGE_\w+_IMAGE):-([^}]+)\}", (ROOT / "docker-compose.yml").read_text()))
    built = dict(re.findall(r"\$\{(MOORAGE_\w+_IMAGE):-([^}]+)\}", (ROOT / "deploy/build-offline.sh").read_text()))
    assert wanted == built


@pytest.mark.needs_docker
@pytest.mark.parametrize("overlay", [[], ["-f", "deploy/docker-compose.engine.yml"]])
def test_compose_itself_accepts_the_file(overlay: list[str], tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    assert program is not None, "apt-get install docker-compose"
    environment = {
        "PATH": os.environ["PATH"], "MOORAGE_SECRETS": str(tmp_path), "MOORAGE_CHECKOUT": str(ROOT),
        "MOORAGE_DOCKER_GID": "106",
    }  # fmt: skip
    checked = subprocess.run(
        [program, "-f", "docker-compose.yml", *overlay, "config", "-q"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
