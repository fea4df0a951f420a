"""The container tier: one container per sandbox, whose first process is the berth's agent; commands go through it."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import docker.errors

from resources.files import Beneath
from resources.sandboxes import (
    attach,
    door,
    engine_terminal,
    local,
    mounts,
    policy,
    sealing,
    surroundings,
    terminal,
    way_out,
)
from resources.sandboxes.agent_client import Agent
from resources.sandboxes.conversation import CommandLost
from resources.sandboxes.door import AgentUnreachable
from resources.sandboxes.engine import (
    UNREACHABLE,
    EngineUnreachable,
    engine,
    failure,
    is_silence,
    require_runtime,
    words,
)
from resources.sandboxes.launch import LAUNCHER, Plan
from resources.sandboxes.passwd import file_for as passwd_for
from resources.sandboxes.protocol import (
    Availability,
    Command,
    IsolationUnavailable,
    Keeping,
    NoConversation,
    Outcome,
    Profile,
    Ready,
    Reference,
    SandboxFailed,
    SandboxGone,
    Stats,
    Tier,
)
from resources.sandboxes.seccomp import Network
from resources.sandboxes.surroundings import environment
from resources.sandboxes.visible import toolchain

log = logging.getLogger(__name__)

UNLEASED_UID = 10001  # where the service is root and leased no uid
AGENT = Path(__file__).with_name("berth_agent.py")
_LOCAL = "unix://"
_PROBE_S = 10  # an engine that is busy must not be taken for none: a weaker tier would be used
_PROVE_S = 60
_AGENT_S = 15.0  # how long an agent may take to listen, while its container runs
_LOOK_S = 0.5
_NAME_TAKEN = 409
_HELD = frozenset({"memory", "pids", "cpu"})


class Carrier(StrEnum):
    """What brings commands into a container."""

    AGENT = "agent"
    LAUNCHER = "launcher"  # by the engine's exec, but ended as a tree
    ENGINE = "engine"  # by the engine's exec alone


_proven: set[tuple[str, str, Carrier]] = set()  # what was seen to run commands, by image id, runtime and carrier

_NOTE = "Shares the host's kernel; only loopback inside: leased ports are not reachable from outside it."
_GVISOR_NOTE = "Runs on gVisor; only loopback inside: leased ports are not reachable from outside it."
_CARRIED = {
    Carrier.AGENT: "",
    Carrier.LAUNCHER: " The agent cannot be used here: commands go through the engine's exec, more slowly.",
    Carrier.ENGINE: " The image has no Python: commands go through the engine's exec, without a filter of their own;"
    " what they leave running runs on, a late one is ended by restarting the container, and there are no terminals.",
}


class ContainerProvider:
    """Opens sandboxes of the Docker engine that the environment names (DOCKER_HOST, or the usual socket)."""

    tier: ClassVar[Tier] = Tier.CONTAINER

    def probe(self) -> Availability:
        """Whether an engine of this machine answers and has the sandbox image."""
        if not os.environ.get("DOCKER_HOST", _LOCAL).startswith(_LOCAL):
            # Workspaces are mounted by path, and an exec's stream is read from the socket itself, past any TLS.
            return Availability(self.tier, False, "DOCKER_HOST names an engine elsewhere", "unset DOCKER_HOST")
        try:
            with engine(timeout_s=_PROBE_S) as client:
                client.images.get(policy.DEFAULT_IMAGE)
                has_gvisor = policy.GVISOR in client.info()["Runtimes"]
        except docker.errors.ImageNotFound:
            return Availability(self.tier, False, f"the image {policy.DEFAULT_IMAGE} is not there", "make images")
        except UNREACHABLE as error:
            remedy = "Install and start Docker, and let the service's user reach its socket."
            return Availability(self.tier, False, f"no Docker engine answers ({type(error).__name__})", remedy)
        gvisor = "gVisor can be asked for (runtime: runsc)." if has_gvisor else "gVisor (runsc) is not installed."
        return Availability(self.tier, available=True, reason=f"{_NOTE} {gvisor}", remedy="")

    def open(self, profile: Profile, *, workspace_ready: Ready) -> ContainerSandbox:
        """Create and start the container; one left over from a crash under the same name is replaced."""
        profile = dataclasses.replace(profile, uid=_uid(profile))
        require_runtime(profile.runtime)
        sandbox = ContainerSandbox(profile)
        try:
            sandbox.create(workspace_ready)
        except docker.errors.ImageNotFound as error:
            image = profile.image or policy.DEFAULT_IMAGE
            raise IsolationUnavailable(f"container: the image {image} is not there", remedy="make images") from error
        except UNREACHABLE as error:
            raise failure("The container cannot be made", error) from error
        return sandbox

    def at(self, reference: Reference) -> ContainerSandbox:
        """The container of this reference, whether or not it is there."""
        profile = local.profile_from_json(reference.get("profile", {}))
        try:
            # References of containers made before there were agents do not say it.
            carrier = Carrier(reference.get("carrier", Carrier.LAUNCHER))
        except ValueError as error:
            raise SandboxGone("The sandbox's reference cannot be read.") from error
        return ContainerSandbox(profile, carrier=carrier, image_id=str(reference.get("image_id", "")))

    def adopt(self, reference: Reference) -> ContainerSandbox:
        """The running container of this reference; one that the engine stopped is started again.

        One whose agent answers runs: then the engine is not asked, which not everybody who may adopt can reach.
        """
        sandbox = self.at(reference)
        if not sandbox.answers():
            sandbox.start()
        return sandbox


class ContainerSandbox:
    """An open container; see the protocol."""

    tier: Tier = Tier.CONTAINER
    note: str

    def __init__(self, profile: Profile, *, carrier: Carrier = Carrier.AGENT, image_id: str = "") -> None:
        self.profile = profile
        self.name = local.name_of(profile)
        self._image_id = image_id  # of what it was made from, whatever the image's name stands for by now
        self._choose(carrier)

    def _choose(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.note = (_GVISOR_NOTE if self.profile.runtime else _NOTE) + _CARRIED[carrier]

    def reference(self) -> Reference:
        """JSON from which the sandbox is adopted."""
        return {
            "tier": self.tier.value,
            "name": self.name,
            "carrier": self.carrier.value,
            "image_id": self._image_id,
            "profile": local.profile_as_json(self.profile),
        }

    def create(self, workspace_ready: Ready) -> None:
        """Create, start, and see that a command runs. Between the two the workspace is waited for and prepared."""
        try:
            # Descriptors do not pass through gVisor's sockets, so its agent could not be given any.
            self._make(Carrier.LAUNCHER if self.profile.runtime else Carrier.AGENT, workspace_ready)
            if self.carrier is Carrier.LAUNCHER and not self._runs_commands().ok:
                self._choose(Carrier.ENGINE)
            if self.carrier is Carrier.ENGINE and self.profile.egress is not None:
                raise SandboxFailed("A way out needs python3 in the image.", remedy="Add python3 to the image.")
            self._prove()
        except BaseException:
            self.close()
            raise

    def answers(self) -> bool:
        """Whether its agent listens. Costs no engine, and says nothing of a container without an agent."""
        return self.carrier is Carrier.AGENT and door.is_answered(self.profile.workspace, within_s=_LOOK_S)

    def start(self) -> None:
        """Start the container if the engine stopped it; SandboxGone when it is not there or not ours."""
        try:
            with self._container() as found:
                if found.status != "running":
                    self._check_volumes()
                    self._build_door()
                    self._begin(found)
        except SandboxGone:
            door.remove(self.profile.workspace)
            raise
        except UNREACHABLE as error:
            if is_silence(error):
                raise EngineUnreachable(f"The container engine does not answer: {words(error)}") from error
            raise SandboxGone(f"{self.name} cannot be started: {words(error)}") from error

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        plan = self._plan(local.checked(self.profile, command))
        try:
            outcome, stuck = self._carry(plan, command, cancelled=cancelled)
            if stuck:
                self._restart()  # nothing less ends a process that does not obey
        except docker.errors.NotFound as error:
            raise SandboxGone(f"{self.name} is gone.") from error
        except SandboxFailed as error:
            if not self.alive():
                raise SandboxGone(f"{self.name} is gone: {error.detail}") from error
            raise
        except UNREACHABLE as error:
            if not self.alive():
                raise SandboxGone(f"{self.name} is gone: {words(error)}") from error
            raise failure("The container engine refused", error) from error
        return outcome

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        """(pid of our side, PTY master); SIGTERM to the pid ends the tree."""
        plan = self._plan(local.checked(self.profile, command))
        if self.carrier is Carrier.ENGINE:
            raise SandboxFailed("A terminal needs python3 in the image.", remedy="Add python3 to the image.")
        if self.carrier is Carrier.AGENT:
            owner = self.profile.uid if os.geteuid() == 0 else None
            try:
                return terminal.spawn_in_berth(
                    self._agent, plan, columns=columns, rows=rows, owner=owner, keeping=keeping
                )
            except AgentUnreachable as error:
                self._explain(error)
        if not self.alive():
            raise SandboxGone(f"{self.name} is gone.")
        return engine_terminal.spawn_pty(
            plan, workspace=self.profile.workspace, columns=columns, rows=rows, keeping=keeping
        )

    def dial(self, port: int) -> socket.socket:
        """A stream to a TCP port that a program inside listens on. SandboxFailed when none does."""
        if self.carrier is not Carrier.AGENT:
            raise SandboxFailed("Only the berth's agent can dial a port inside, and it cannot be used here.")
        return self._agent.dial(port)

    def stats(self) -> Stats:
        """What the berth's agent counts; what the engine counts where it cannot be asked."""
        if self.carrier is Carrier.AGENT:
            try:
                return self._agent.stats(self.profile)
            except SandboxFailed as error:
                self._explain(error)
        return self._engine_stats()

    def _engine_stats(self) -> Stats:
        try:
            with self._container() as found:
                figures: dict[str, Any] = found.stats(stream=False, one_shot=True)
        except UNREACHABLE as error:
            raise failure("The container cannot be asked", error) from error
        memory = figures.get("memory_stats", {}).get("usage")
        cpu_ns = figures.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        return Stats(
            memory_mb=None if memory is None else int(memory) >> 20,
            processes=figures.get("pids_stats", {}).get("current"),
            cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
        )

    def alive(self) -> bool:
        """Whether the engine runs it and it carries our labels. EngineUnreachable when that cannot be said."""
        try:
            with self._container() as found:
                return bool(found.status == "running")
        except SandboxGone:
            return False
        except UNREACHABLE as error:
            raise failure("The container cannot be asked", error) from error

    def close(self) -> None:
        """End what we run in it and remove it; one that is gone or not ours is left alone."""
        local.end_launchers(self.name)
        self.remove()

    def remove(self) -> None:
        """Remove the container and all that runs in it, as it is: running, stopped or never started."""
        try:
            with self._container() as found:
                found.remove(force=True, v=True)
        except (SandboxGone, docker.errors.NotFound):
            log.debug("container was gone already", extra={"container": self.name})
        except docker.errors.APIError as error:
            if error.status_code != 409:  # removal is already in progress
                raise SandboxFailed(f"The container cannot be removed: {words(error)}") from error
        except UNREACHABLE as error:
            raise failure("The container cannot be removed", error) from error
        door.remove(self.profile.workspace)

    @property
    def _agent(self) -> Agent:
        return Agent(self.profile.workspace)

    def _carry(self, plan: Plan, command: Command, *, cancelled: Callable[[], bool] | None) -> tuple[Outcome, bool]:
        if self.carrier is Carrier.AGENT:
            try:
                return self._agent.run(plan, command, cancelled=cancelled)
            except AgentUnreachable as error:
                self._explain(error)
            except CommandLost as error:
                # The engine is late to notice; the agent's socket is closed before anything else in a container ends.
                if not door.wait(self.profile.workspace, within_s=_LOOK_S):
                    raise SandboxGone(f"{self.name} is gone: {error.detail}") from error
                return error.outcome, False  # it killed its own supervisor; the agent ends what is left
        if command.peer is not None:
            raise NoConversation("The berth's agent cannot be used here: no conversation with a command can be held.")
        with engine() as client:
            if self.carrier is Carrier.ENGINE:
                return attach.run_unattended(client, plan, command, cancelled=cancelled)
            return attach.run(client, plan, command, cancelled=cancelled)

    def _explain(self, error: SandboxFailed) -> None:
        """The agent did not help: because the container is gone, or else, and then the engine has to."""
        if not self.alive():
            raise SandboxGone(f"{self.name} is gone: {error.detail}") from error
        log.warning("agent does not answer", extra={"container": self.name, "reason": error.detail})

    def _make(self, carrier: Carrier, workspace_ready: Ready) -> None:
        """Create and start; where the agent cannot start for want of Python, once more without it."""
        self._choose(carrier)
        self._build_door()
        with engine() as client:
            made = self._create(client)
            self._image_id = str(made.attrs.get("Image", ""))
            workspace_ready()
            self._prepare_workspace()
            try:
                if self._begin(made):
                    return
            except docker.errors.APIError as error:
                if carrier is not Carrier.AGENT or "python3" not in words(error):
                    raise
            made.remove(force=True)
        if carrier is not Carrier.AGENT:
            raise SandboxFailed("The container ended at once: the image has no sleep.")
        self._make(Carrier.ENGINE, workspace_ready)

    def _create(self, client: docker.DockerClient) -> Any:
        """The container; one that a crash left under the same name is replaced."""
        image, wanted = self.profile.image or policy.DEFAULT_IMAGE, self._wanted()
        try:
            return client.containers.create(image, **wanted)
        except docker.errors.APIError as error:
            if error.status_code != _NAME_TAKEN:
                raise
        self.close()
        self._build_door()
        return client.containers.create(image, **wanted)

    def _prove(self) -> None:
        """That commands run in it: once per image, runtime and carrier, or opening would cost one command more."""
        sort = (self._image_id, self.profile.runtime, self.carrier)
        if sort in _proven:
            return
        outcome = self._runs_commands()
        if not outcome.ok:
            raise SandboxFailed(f"The image cannot run commands: {outcome.text(300)}")
        _proven.add(sort)

    def _wanted(self) -> dict[str, Any]:
        uid = self.profile.uid
        assert uid is not None  # noqa: S101 — the provider has decided it
        gid = uid if os.geteuid() == 0 else os.getgid() or uid
        return policy.container(
            self.profile, name=self.name, uid=uid, gid=gid,
            tools=toolchain(self.profile.readable),
            programs=policy.Programs(
                LAUNCHER,
                AGENT,
                door=door.place(self.profile.workspace) if self.carrier is Carrier.AGENT else None,
                passwd=passwd_for(uid=uid, gid=gid),
            ),
        )  # fmt: skip

    def _begin(self, made: Any) -> bool:
        """Start; with an agent, shut its door once it listens. Whether the container runs."""
        made.start()
        if self.carrier is not Carrier.AGENT:
            made.reload()
            return bool(made.status == "running")
        until = time.monotonic() + _AGENT_S
        while time.monotonic() < until:
            if door.wait(self.profile.workspace, within_s=_LOOK_S):
                door.shut(self.profile.workspace)
                return True
            made.reload()
            if made.status != "running":
                return False
        log.warning("agent does not listen", extra={"container": self.name})
        self._choose(Carrier.LAUNCHER)
        return True

    def _check_volumes(self) -> None:
        """Before the engine mounts them again: it would show an empty directory where a mount is gone."""
        tools = toolchain(self.profile.readable)
        mounts.check_volumes(self.profile.volumes, workspace=self.profile.workspace, readable=tools)

    def _restart(self) -> None:
        with self._container() as found:
            found.kill()
            found.wait(timeout=attach.END_S)
            self._build_door()
            self._begin(found)

    def _build_door(self) -> None:
        """For an agent that will start: before, nothing runs inside that could use it."""
        if self.carrier is Carrier.AGENT:
            assert self.profile.uid is not None  # noqa: S101 — the provider has decided it
            door.build(self.profile.workspace, uid=self.profile.uid)

    def _prepare_workspace(self) -> None:
        files = Beneath(self.profile.workspace)
        try:
            files.make_directory(surroundings.HOME)
            files.make_directory(surroundings.TEMPORARY)
            files.write(".moorage/.gitignore", b"*\n")
            if os.geteuid() == 0 and self.profile.uid is not None:
                files.give_to(self.profile.uid, self.profile.uid)
        except OSError as error:
            raise SandboxFailed(f"The workspace cannot be prepared: {error.strerror}.") from error

    def _runs_commands(self) -> Outcome:
        return self.run(Command(argv=("true",), timeout_s=_PROVE_S))

    def _plan(self, command: Command) -> Plan:
        return Plan(
            tier=self.tier,
            name=self.name,
            argv=way_out.through(self.profile, command.argv, interpreter="python3"),
            cwd=command.cwd or self.profile.workspace,
            environment=environment(self.profile, command),
            seal=sealing.seal(self.profile, uid=None, network=Network.NAMESPACE, held=_HELD),
        )

    @contextmanager
    def _container(self) -> Iterator[Any]:
        with engine() as client:
            try:
                found = client.containers.get(self.name)
            except docker.errors.NotFound as error:
                raise SandboxGone(f"{self.name} is not there.") from error
            if policy.labels(self.profile, self.name).items() - found.labels.items():
                raise SandboxGone(f"{self.name} carries other labels: it is not this sandbox.")
            yield found


def _uid(profile: Profile) -> int:
    """Never root: the leased uid, the service's own, or a fixed one where the service is root."""
    if os.geteuid() != 0:
        return os.geteuid()
    return profile.uid or UNLEASED_UID
