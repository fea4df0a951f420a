"""Volumes of templates: really mounted, guarded, reserved, shown, and taken away again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berth_volumes, berths, lifecycle, placement, upkeep
from agents.models import Agent
from resources import disk_images, hosts, leases
from resources.models import Host, Lease
from resources.reasons import in_words
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Outcome, Sandbox, Tier
from resources.volumes import berths as volumes
from resources.volumes import wanted
from tests import factories

pytestmark = pytest.mark.django_db

WORKER = "worker:node-a"
NOW = timezone.now()
MOUNTING = [
    pytest.param("process", marks=pytest.mark.needs_bubblewrap),
    pytest.param("container", marks=pytest.mark.needs_docker),
]
Ask = Callable[..., Agent]


@pytest.fixture(autouse=True)
def place(settings: Any, data_directory: Path, tmp_path: Path) -> Iterator[None]:
    data_directory.chmod(0o711)
    settings.HOST_NAME = "node-a"
    (data_directory / "templates").mkdir(exist_ok=True)
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], data_directory / "templates"]
    yield
    for agent in Agent.objects.exclude(state=Agent.State.STOPPED):
        leave(agent)
    assert [place for place in disk_images.mounted() if str(data_directory) in str(place)] == []
    assert volumes.names() == []


@pytest.fixture
def ask(settings: Any) -> Ask:
    """``ask(tier, text)``: a running agent of a template with these volumes."""

    def made(tier: str, text: str, *, project: uuid.UUID | None = None, name: str = "mine") -> Agent:
        write(settings, tier, text, name=name)
        if not Host.objects.exists():
            machine([Tier(tier)])
        return opened(factories.placed(name, project_id=project))

    return made


def machine(tiers: list[Tier], **wanted_of_it: Any) -> Host:
    made = factories.host(tiers=tiers, **wanted_of_it)
    made.facts["volumes"] = wanted.grants()
    made.save()
    return made


def write(settings: Any, tier: str, text: str, *, name: str = "mine") -> None:
    layer = (
        f"apiVersion: moorage/v1\nkind: Template\nname: {name}\nversion: 1.0.0\nextends: lightweight\n"
        f"spec:\n  isolation: {{tier: {tier}}}\n  volumes: {text}\n"
    )
    (settings.TEMPLATE_DIRECTORIES[-1] / f"{name}.yaml").write_text(layer)


def opened(agent: Agent) -> Agent:
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    agent = loaded(agent)
    assert agent.state == Agent.State.RUNNING, agent.error
    return agent


def loaded(agent: Agent) -> Agent:
    return Agent.objects.select_related("host").get(pk=agent.pk)


def leave(agent: Agent) -> None:
    stopping = lifecycle.request_stop(agent.pk, actor="user:ada", reason="test")
    berths.clear_berth(agent.pk, generation=stopping.generation, worker=WORKER)


def sandbox(agent: Agent) -> Sandbox:
    return selection.adopt(loaded(agent).sandbox or {})


def shell(agent: Agent, script: str) -> Outcome:
    return sandbox(agent).run(Command(argv=("sh", "-c", script)))


# --- what is mounted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", MOUNTING)
def test_a_scratch_volume_is_writable_and_bounded_and_goes_with_the_berth(ask: Ask, tier: str) -> None:
    agent = ask(tier, "[{target: /cache/own, size_mb: 9}]")
    said = shell(agent, "cd /cache/own && echo mine > a && cat a && stat -c %u a && id -u && ls -A /cache")
    assert said.ok, said.text()
    word, owner, me, listed = said.text().split()
    assert (word, owner, listed) == ("mine", me, "own")
    assert "nosuid" in mounted_as(agent, "/cache/own")
    assert "nodev" in mounted_as(agent, "/cache/own")
    (note,) = berth_volumes.shown(agent)
    assert (note["target"], note["writable"], note["said_by"]) == ("/cache/own", True, "mine 1.0.0, line 8")
    if "bounded" in note["bound"]:
        full = shell(agent, "head -c 30000000 /dev/zero > /cache/own/big")
        assert b"No space left" in full.stderr
    leave(agent)
    assert volumes.names() == []


def mounted_as(agent: Agent, target: str) -> str:
    """The options of the mount at ``target``, as the sandbox's own kernel view says them."""
    lines = shell(agent, "cat /proc/self/mounts").text(200_000).splitlines()
    return next(line.split()[3] for line in lines if line.split()[1] == target)


@pytest.mark.parametrize("tier", MOUNTING)
def test_a_cache_is_for_the_next_agent_of_the_same_project_and_for_no_other(ask: Ask, tier: str) -> None:
    project, other = uuid.uuid4(), uuid.uuid4()
    first = ask(tier, "[{target: /cache, kind: cache, read_only: false, size_mb: 50}]", project=project)
    assert shell(first, "mkdir /cache/d && echo kept > /cache/d/a").ok
    leave(first)
    stranger = ask(tier, "[{target: /cache, kind: cache}]", project=other)
    assert shell(stranger, "ls -A /cache").text() == ""
    reader = ask(tier, "[{target: /cache, kind: cache}]", project=project)
    assert shell(reader, "cat /cache/d/a").text() == "kept\n"
    assert not shell(reader, "echo x > /cache/b").ok
    assert not shell(reader, "echo x > /cache/d/a").ok
    leave(reader)
    writer = ask(tier, "[{target: /cache, kind: cache, read_only: false}]", project=project)
    assert shell(writer, "echo more >> /cache/d/a && cat /cache/d/a").text() == "kept\nmore\n"


@pytest.mark.parametrize("tier", MOUNTING)
def test_a_directory_of_the_host_is_seen_where_it_is_lent_and_never_written_to(
    ask: Ask, tier: str, settings: Any, lent: Path
) -> None:
    agent = ask(tier, f"[{{target: /data, kind: host, source: {lent}/in}}]")
    assert shell(agent, "cat /data/a").text() == "lent\n"
    assert not shell(agent, "echo x > /data/a || touch /data/b").ok
    options = mounted_as(agent, "/data").split(",")
    assert {"ro", "nosuid", "nodev"} <= set(options)
    leave(agent)
    assert (lent / "in" / "a").read_text() == "lent\n"


@pytest.fixture
def lent(settings: Any, tmp_path: Path) -> Path:
    """A directory that the operator lends, with one in it."""
    made = tmp_path / "lent"
    (made / "in").mkdir(parents=True)
    (made / "in" / "a").write_text("lent\n")
    for path in (made, made / "in"):
        path.chmod(0o755)
    settings.VOLUME_SOURCES = [made]
    return made


@pytest.mark.parametrize("tier", MOUNTING)
def test_a_shared_volume_is_read_only_unless_the_operator_grants_more(ask: Ask, tier: str, settings: Any) -> None:
    settings.SHARED_VOLUMES = {"wheels": "rw"}
    writer = ask(tier, "[{target: /wheels, kind: shared, name: wheels, read_only: false}]", name="builder")
    assert shell(writer, "echo w > /wheels/w").ok
    reader = ask(tier, "[{target: /opt/wheels, kind: shared, name: wheels}]")
    assert shell(reader, "cat /opt/wheels/w").text() == "w\n"
    assert not shell(reader, "echo x > /opt/wheels/w").ok


# --- admission --------------------------------------------------------------------------------------------------------


def blocked(template: str, *, project: uuid.UUID | None = None) -> list[str]:
    agent = factories.agent(template, project_id=project)
    assert not placement.place(agent.pk, now=timezone.now())
    found = [in_words(reason) for reason in loaded(agent).blocked_by]
    lifecycle.request_stop(agent.pk, actor="user:ada", reason="test")
    return found


def test_two_agents_never_write_to_the_same_volume_and_the_second_says_why_it_waits(settings: Any) -> None:
    project = uuid.uuid4()
    write(settings, "process", "[{target: /cache, kind: cache, read_only: false}]")
    machine([Tier.PROCESS])
    first = factories.placed("mine", project_id=project)
    second, other = (factories.agent("mine", project_id=one) for one in (project, uuid.uuid4()))
    placement.place_waiting(now=timezone.now())
    (reason,) = loaded(second).blocked_by
    assert (reason["kind"], reason["held_by"]) == ("volume_held", first.owner)
    assert in_words(reason).startswith(f"volume cache on node-a: {first.owner} writes to it since ")
    assert loaded(other).host is not None  # another project's cache is another volume
    leave(first)
    assert placement.place_waiting(now=timezone.now()) == 1
    assert loaded(second).host is not None


def test_readers_of_a_volume_wait_for_nobody(settings: Any) -> None:
    project = uuid.uuid4()
    write(settings, "process", "[{target: /cache, kind: cache, read_only: false}]", name="writer")
    write(settings, "process", "[{target: /cache, kind: cache}]", name="reader")
    machine([Tier.PROCESS])
    placed = [factories.placed(name, project_id=project) for name in ("writer", "reader", "reader")]
    held = [lease.key for agent in placed for lease in leases.live(owner=agent.owner, kind=Lease.Kind.VOLUME)]
    assert len(set(held)) == len(held) == 3


def test_one_that_waits_for_a_volume_keeps_nobody_else_waiting(settings: Any) -> None:
    project = uuid.uuid4()
    write(settings, "process", "[{target: /cache, kind: cache, read_only: false}]")
    machine([Tier.PROCESS])
    factories.placed("mine", project_id=project)
    waiting = factories.agent("mine", project_id=project)
    assert not placement.place(waiting.pk, now=NOW)
    long_after = timezone.now() + placement.PATIENCE * 2
    hosts.beat(name="node-a", facts=Host.objects.get().facts, now=long_after)
    plain = factories.agent("lightweight")
    assert placement.place(plain.pk, now=long_after)


def test_the_disk_of_scratch_volumes_is_reserved_beside_that_of_the_workspace(settings: Any) -> None:
    write(settings, "process", "[{target: /a, size_mb: 700}, {target: /b, size_mb: 300}]")
    machine([Tier.PROCESS])
    agent = factories.placed("mine")
    plain = factories.placed("lightweight")
    held = [lease for one in (agent, plain) for lease in leases.live(owner=one.owner, kind=Lease.Kind.DISK)]
    disk = {lease.owner: lease.amount for lease in held}
    assert disk[agent.owner] == disk[plain.owner] + 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{target: /d, kind: host, source: /srv}]", "does not lend this directory (MOORAGE_VOLUME_SOURCES)"),
        ("[{target: /d, kind: host, source: /etc}]", "does not lend this directory"),
        ("[{target: /d, kind: shared, name: wheels}]", "declares no such shared volume (MOORAGE_SHARED_VOLUMES)"),
        ("[{target: /d, kind: shared, name: ro, read_only: false}]", "to be read only (MOORAGE_SHARED_VOLUMES"),
        ("[{target: /d, kind: cache}]", "a cache belongs to a project, and this agent has none"),
    ],
)
def test_what_the_operator_does_not_lend_is_not_admitted_and_says_so(settings: Any, text: str, words: str) -> None:
    settings.SHARED_VOLUMES = {"ro": "ro"}
    write(settings, "process", text)
    machine([Tier.PROCESS])
    (reason,) = blocked("mine")
    assert words in reason


def test_a_tier_without_mounts_takes_no_volumes_and_names_the_remedy(settings: Any) -> None:
    write(settings, "landlock", "[{target: /cache}]")
    host = machine([Tier.LANDLOCK])
    host.facts["tiers"] += [{"tier": "process", "available": False, "reason": "-", "remedy": "apt-get install it"}]
    host.save()
    (reason,) = blocked("mine")
    assert "its volumes have to be mounted" in reason
    assert "for process: apt-get install it" in reason


@pytest.mark.needs_landlock
@pytest.mark.needs_root
def test_landlock_shows_a_lent_directory_at_its_own_path_and_only_for_reading(ask: Ask, in_srv: Path) -> None:
    assert not shell(ask("landlock", "[]", name="plain"), f"cat {in_srv}/a").ok
    agent = ask("landlock", f"[{{target: {in_srv}, kind: host, source: {in_srv}}}]")
    assert shell(agent, f"cat {in_srv}/a").text() == "lent\n"
    assert not shell(agent, f"echo x > {in_srv}/a").ok
    assert not shell(agent, f"touch {in_srv}/b").ok


@pytest.fixture
def in_srv(settings: Any) -> Iterator[Path]:
    """A lent directory that nobody but root can change, and no link leads to."""
    place = Path("/srv") / f"moorage-test-{os.getpid()}"
    place.mkdir(mode=0o755)
    (place / "a").write_text("lent\n")
    settings.VOLUME_SOURCES = [place]
    yield place
    (place / "a").unlink()
    place.rmdir()


# --- what people see --------------------------------------------------------------------------------------------------


@pytest.mark.needs_landlock
@pytest.mark.needs_root
def test_the_page_and_the_api_say_where_each_volume_comes_from(ask: Ask, in_srv: Path, client: Any) -> None:
    agent = ask("landlock", f"[{{target: {in_srv}, kind: host, source: {in_srv}}}]")
    staff = factories.user("root", staff=True)
    staff.is_superuser = True
    staff.save()
    client.force_login(staff)
    (volume,) = client.get(f"/api/v1/agents/{agent.pk}/").json()["volumes"]
    assert volume == {
        "target": str(in_srv), "kind": "host", "comes_from": f"{in_srv} of the host", "writable": False, "bound": "",
        "said_by": "mine 1.0.0, line 8",
    }  # fmt: skip
    page = client.get(f"/admin/agents/agent/{agent.pk}/change/").content.decode()
    for word in (f"<code>{in_srv}</code>", f"{in_srv} of the host", "read-only", "mine 1.0.0, line 8"):
        assert word in page


def test_a_template_that_asks_for_more_since_admission_is_refused_and_may_be_retried(settings: Any) -> None:
    project = uuid.uuid4()
    write(settings, "process", "[{target: /a, kind: cache, read_only: false}]")
    machine([Tier.PROCESS])
    agent = factories.placed("mine", project_id=project)
    write(settings, "process", "[{target: /b, kind: cache, read_only: false}]")
    berths.open_berth(agent.pk, generation=agent.generation, worker=WORKER)
    error = loaded(agent).error
    assert error is not None
    assert (error["code"], error["detail"]) == ("volume.not_reserved", "not reserved for this berth: cache b")


@pytest.mark.needs_docker
@pytest.mark.needs_root
def test_a_container_keeps_what_it_has_when_the_source_is_swapped_or_deleted(
    ask: Ask, lent: Path, tmp_path: Path
) -> None:
    agent = ask("container", f"[{{target: /data, kind: host, source: {lent}/in}}]")
    (lent / "in").rename(tmp_path / "elsewhere")
    (lent / "in").symlink_to("/etc")
    assert shell(agent, "cat /data/a").text() == "lent\n"
    (tmp_path / "elsewhere" / "a").unlink()
    (tmp_path / "elsewhere").rmdir()
    assert shell(agent, "ls -A /data").text() == ""


@pytest.mark.needs_bubblewrap
def test_a_cache_that_is_only_counted_and_too_full_ends_its_berth_with_the_reason(ask: Ask) -> None:
    text = "[{target: /cache, kind: cache, read_only: false, size_mb: 1}]"
    agent = ask("process", text, project=uuid.uuid4())
    assert upkeep.inspect(host="node-a", now=timezone.now(), worker=WORKER) == 1
    assert shell(agent, "head -c 3000000 /dev/zero > /cache/big").ok
    assert upkeep.inspect(host="node-a", now=timezone.now(), worker=WORKER) == 0
    error = loaded(agent).error
    assert error is not None
    assert (error["code"], error["detail"]) == (
        "workspace.full", "The berth was ended: the volume at /cache holds more than 1 MB.",
    )  # fmt: skip
