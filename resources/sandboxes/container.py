"""The container tier: one idle container per sandbox, commands executed in it."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import docker
import docker.errors
import requests

from resources.files import Beneath
from resources.sandboxes import attach, local, policy, sealing, surroundings, terminal, way_out
from resources.sandboxes.launch import LAUNCHER, Plan
from resources.sandboxes.protocol import (
    Availability,
    Command,
    IsolationUnavailable,
    Outcome,
    Profile,
    Reference,
    SandboxFailed,
    SandboxGone,
    Stats,
    Tier,
)
from resources.sandboxes.seccomp import Network
from resources.sandboxes.surroundings import environment
from resources.sandboxes.visible import toolchain

UNLEASED_UID = 10001  # where the service is root and leased no uid
_CLIENT = "apt-get install docker-cli (or docker.io)"
_LOCAL = "unix://"
_PROBE_S = 2
_CALL_S = 60
_HELD = frozenset({"memory", "pids", "cpu"})
_UNREACHABLE = (docker.errors.DockerException, requests.exceptions.RequestException)


class ContainerProvider:
    """Opens sandboxes of the Docker engine that the environment names (DOCKER_HOST, or the usual socket)."""

    tier: ClassVar[Tier] = Tier.CONTAINER

    def probe(self) -> Availability:
        """Whether an engine of this machine answers and has the sandbox image."""
        if not os.environ.get("DOCKER_HOST", _LOCAL).startswith(_LOCAL):
            # Workspaces are mounted by path, and an exec's stream is read from the socket itself, past any TLS.
            return Availability(self.tier, False, "DOCKER_HOST names an engine elsewhere", "unset DOCKER_HOST")
        try:
            with _engine(timeout_s=_PROBE_S) as client:
                client.images.get(policy.DEFAULT_IMAGE)
        except docker.errors.ImageNotFound:
            return Availability(self.tier, False, f"the image {policy.DEFAULT_IMAGE} is not there", "make images")
        except _UNREACHABLE as error:
            remedy = "Install and start Docker, and let the service's user reach its socket."
            return Availability(self.tier, False, f"no Docker engine answers ({type(error).__name__})", remedy)
        return Availability(self.tier, available=True, reason=_NOTE, remedy="")

    def open(self, profile: Profile) -> ContainerSandbox:
        """Create and start the container; one left over from a crash under the same name is replaced."""
        profile = dataclasses.replace(profile, uid=_uid(profile))
        sandbox = ContainerSandbox(profile)
        try:
            sandbox.create()
        except docker.errors.ImageNotFound as error:
            image = profile.image or policy.DEFAULT_IMAGE
            raise IsolationUnavailable(f"container: the image {image} is not there", remedy="make images") from error
        except _UNREACHABLE as error:
            raise SandboxFailed(f"The container cannot be made: {_words(error)}") from error
        return sandbox

    def adopt(self, reference: Reference) -> ContainerSandbox:
        """The running container of this reference; one that the engine stopped is started again."""
        sandbox = ContainerSandbox(local.profile_from_json(reference.get("profile", {})))
        sandbox.start()
        return sandbox


_NOTE = "Shares the host's kernel; only loopback inside: leased ports are not reachable from outside it."


class ContainerSandbox:
    """An open container; see the protocol."""

    tier: Tier = Tier.CONTAINER
    note: str = _NOTE

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.name = local.name_of(profile)

    def reference(self) -> Reference:
        """JSON from which the sandbox is adopted."""
        return {"tier": self.tier.value, "name": self.name, "profile": local.profile_as_json(self.profile)}

    def create(self) -> None:
        """Prepare the workspace, create, start, and see that a command runs."""
        self._prepare_workspace()
        uid = self.profile.uid
        assert uid is not None  # noqa: S101 — the provider has decided it
        wanted = policy.container(
            self.profile,
            name=self.name,
            uid=uid,
            gid=uid if os.geteuid() == 0 else os.getgid() or uid,
            tools=toolchain(self.profile.readable),
            launcher=LAUNCHER,
        )
        self.close()
        with _engine(timeout_s=_CALL_S) as client:
            client.containers.create(self.profile.image or policy.DEFAULT_IMAGE, **wanted).start()
        try:
            self._prove()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the container if the engine stopped it; SandboxGone when it is not there or not ours."""
        try:
            with self._container() as found:
                if found.status != "running":
                    found.start()
        except _UNREACHABLE as error:
            raise SandboxGone(f"{self.name} cannot be started: {_words(error)}") from error

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        plan = self._plan(local.checked(self.profile, command))
        try:
            with _engine(timeout_s=_CALL_S) as client:
                return attach.run(client, plan, command, cancelled=cancelled)
        except docker.errors.NotFound as error:
            raise SandboxGone(f"{self.name} is gone.") from error
        except _UNREACHABLE as error:
            if not self.alive():
                raise SandboxGone(f"{self.name} is gone: {_words(error)}") from error
            raise SandboxFailed(f"The container engine refused: {_words(error)}") from error

    def spawn_pty(self, command: Command, *, columns: int, rows: int) -> tuple[int, int]:
        """(launcher pid, PTY master); the engine's own client carries the terminal."""
        plan = self._plan(local.checked(self.profile, command))
        if not self.alive():
            raise SandboxGone(f"{self.name} is gone.")
        lock_path = f".moorage/terminal-{secrets.token_hex(8)}"
        files = Beneath(self.profile.workspace)
        files.write(lock_path, b"")
        # Held by the launcher outside; the launcher inside ends its tree as soon as it can have the lock.
        with files.opened(lock_path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            local_plan = self._through_client(plan, self.profile.workspace / lock_path)
            return terminal.spawn_pty(local_plan, columns=columns, rows=rows, keep=lock)

    def stats(self) -> Stats:
        """What the engine counts for the container."""
        try:
            with self._container() as found:
                figures: dict[str, Any] = found.stats(stream=False, one_shot=True)
        except _UNREACHABLE as error:
            raise SandboxGone(f"{self.name} cannot be asked: {_words(error)}") from error
        memory = figures.get("memory_stats", {}).get("usage")
        cpu_ns = figures.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
        return Stats(
            memory_mb=None if memory is None else int(memory) >> 20,
            processes=figures.get("pids_stats", {}).get("current"),
            cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
        )

    def alive(self) -> bool:
        """Whether the engine runs it and it carries our labels."""
        try:
            with self._container() as found:
                return bool(found.status == "running")
        except (SandboxGone, *_UNREACHABLE):
            return False

    def close(self) -> None:
        """Remove the container and all that runs in it; one that is gone or not ours is left alone."""
        local.end_launchers(self.name)
        try:
            with self._container() as found:
                found.remove(force=True, v=True)
        except (SandboxGone, docker.errors.NotFound):
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:  # removal is already in progress
                raise SandboxFailed(f"The container cannot be removed: {_words(error)}") from error
        except _UNREACHABLE as error:
            raise SandboxFailed(f"The container cannot be removed: {_words(error)}") from error

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

    def _prove(self) -> None:
        outcome = self.run(Command(argv=("true",), timeout_s=_CALL_S))
        if not outcome.ok:
            raise SandboxFailed(f"The image cannot run commands (it needs python3): {outcome.text(300)}")

    def _plan(self, command: Command) -> Plan:
        return Plan(
            tier=self.tier,
            name=self.name,
            argv=way_out.through(self.profile, command.argv, interpreter="python3"),
            cwd=command.cwd or self.profile.workspace,
            environment=environment(self.profile, command),
            seal=sealing.seal(self.profile, uid=None, network=Network.NAMESPACE, held=_HELD),
        )

    def _through_client(self, plan: Plan, lock: Path) -> Plan:
        """A plan for this side: the engine's own client, which carries terminal, keys and window size."""
        client = shutil.which("docker")
        if client is None:
            raise SandboxFailed("A terminal in a container needs the docker client.", remedy=_CLIENT)
        inside = ("python3", "-I", "-S", "-B", policy.LAUNCHER_INSIDE, "terminal", self.name, str(lock))
        settings = {name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CERT_PATH") if name in os.environ}
        return Plan(
            tier=self.tier,
            name=self.name,
            argv=(client, "exec", "--interactive", "--tty", "--env", "MOORAGE_PLAN", self.name, *inside),
            cwd=Path("/"),
            environment={
                **settings,
                "PATH": surroundings.DEFAULT_PATH,
                "HOME": "/nonexistent",
                "MOORAGE_PLAN": plan.as_line(terminal=True, hold=False).decode(),
            },
            seal={**plan.seal, "drop_privileges": False, "seccomp": ""},
        )

    @contextmanager
    def _container(self) -> Iterator[Any]:
        with _engine(timeout_s=_CALL_S) as client:
            try:
                found = client.containers.get(self.name)
            except docker.errors.NotFound as error:
                raise SandboxGone(f"{self.name} is not there.") from error
            if policy.labels(self.profile, self.name).items() - found.labels.items():
                raise SandboxGone(f"{self.name} carries other labels: it is not this sandbox.")
            yield found


@contextmanager
def _engine(*, timeout_s: int) -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


def _uid(profile: Profile) -> int:
    """Never root: the leased uid, the service's own, or a fixed one where the service is root."""
    if os.geteuid() != 0:
        return os.geteuid()
    return profile.uid or UNLEASED_UID


def _words(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)[:300]
