"""The sandbox that is no more than rules on processes: what the bare, landlock and process tiers share.

Nothing runs between commands; what makes the sandbox *be there* is its mark beneath the workspace, and its processes
are found by its name in their launcher's argv. So it survives a restart of ours without a daemon.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import psutil

from resources.files import Beneath, PathEscapes, PathSpecial
from resources.sandboxes import cgroups, launch, surroundings, terminal
from resources.sandboxes.protocol import (
    Availability,
    Command,
    Keeping,
    Outcome,
    Profile,
    Ready,
    Reference,
    SandboxFailed,
    SandboxGone,
    Stats,
    Tier,
    Volume,
)

PlanBuilder = Callable[[Profile, str, Command, tuple[Path, ...]], launch.Plan]
_END_S = 10.0
_MARK = ".moorage/open-"


class LocalProvider(ABC):
    """Opens and adopts the sandboxes of a tier without an engine."""

    tier: ClassVar[Tier]

    @abstractmethod
    def probe(self) -> Availability:
        """Whether this host has what the tier needs."""

    @abstractmethod
    def sandbox(self, profile: Profile) -> LocalSandbox:
        """The tier's sandbox of this profile, not opened yet."""

    def open(self, profile: Profile, *, workspace_ready: Ready) -> LocalSandbox:
        """Prepare the workspace and mark the sandbox as open. Who chose the tier has probed it."""
        workspace_ready()
        sandbox = self.sandbox(profile)
        sandbox.open()
        return sandbox

    def at(self, reference: Reference) -> LocalSandbox:
        """The sandbox of this reference, open or not."""
        return self.sandbox(profile_from_json(reference.get("profile", {})))

    def adopt(self, reference: Reference) -> LocalSandbox:
        """The open sandbox of this reference."""
        sandbox = self.at(reference)
        if not sandbox.alive():
            raise SandboxGone(f"{sandbox.name} is closed.")
        return sandbox

    def unavailable(self, reason: str, remedy: str) -> Availability:
        """The answer of a probe that found something missing."""
        return Availability(self.tier, available=False, reason=reason, remedy=remedy)


class LocalSandbox:
    """An open sandbox of a tier without an engine; ``build`` turns a command into the tier's plan."""

    def __init__(self, *, tier: Tier, profile: Profile, note: str, build: PlanBuilder, limited: bool) -> None:
        self.tier = tier
        self.note = note
        self.profile = profile
        self.name = name_of(profile)
        self._build = build
        self._limited = limited  # whether control groups hold its totals

    def reference(self) -> Reference:
        """JSON from which the sandbox is adopted."""
        return {"tier": self.tier.value, "name": self.name, "profile": profile_as_json(self.profile)}

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        return launch.run(self._plan(command), command, cancelled=cancelled)

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        """(launcher pid, PTY master); SIGTERM to the pid ends the tree."""
        return terminal.spawn_pty(self._plan(command), columns=columns, rows=rows, keeping=keeping)

    def stats(self) -> Stats:
        """Sums over the processes that run now."""
        memory, cpu_s, count = 0, 0.0, 0
        for process in self._processes():
            try:
                memory += process.memory_info().rss
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            cpu_s += times.user + times.system
            count += 1
        return Stats(memory_mb=memory >> 20, processes=count, cpu_s=cpu_s)

    def alive(self) -> bool:
        """Whether it was opened, not closed since, and its workspace is still there."""
        return is_marked(self.profile)

    def open(self) -> None:
        """Make home, temporary directory and mark; with a leased uid, give it the workspace."""
        files = Beneath(self.profile.workspace)
        try:
            files.make_directory(surroundings.HOME)
            files.make_directory(surroundings.TEMPORARY)
            files.write(".moorage/.gitignore", b"*\n")
            if self.profile.uid is not None and os.geteuid() == 0:
                files.give_to(self.profile.uid, self.profile.uid)
            files.write(_mark(self.profile), b"")
        except OSError as error:
            raise SandboxFailed(f"The workspace cannot be prepared: {error.strerror}.") from error

    def close(self) -> None:
        """End everything inside, remove groups and mark; closing twice is fine."""
        end(self.profile)

    def _plan(self, command: Command) -> launch.Plan:
        if not self.alive():
            raise SandboxGone(f"{self.name} is closed.")
        groups: tuple[Path, ...] = ()
        if self._limited:
            limits = {"memory_mb": self.profile.memory_mb, "pids": self.profile.pids}
            try:
                groups = cgroups.ensure(self.name, **limits, cpu_millis=self.profile.cpu_millis)
            except OSError as error:
                raise SandboxFailed(f"The control groups cannot be made: {error.strerror}.") from error
        return self._build(self.profile, self.name, checked(self.profile, command), groups)

    def _processes(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for launcher in launchers(self.name):
            try:
                found += launcher.children(recursive=True)
            except psutil.NoSuchProcess:
                continue
        return found


def end(profile: Profile) -> None:
    """End all that runs under the profile's name in any tier without an engine: they share names, mark and groups."""
    # Closed before, or the inhabitant removed its own mark
    with suppress(FileNotFoundError, PathEscapes, PathSpecial):
        Beneath(profile.workspace).delete(_mark(profile))
    end_launchers(name_of(profile))
    cgroups.remove(name_of(profile))


def checked(profile: Profile, command: Command) -> Command:
    """The command, if it is one: a program, and a directory written beneath the workspace."""
    if not command.argv or not command.argv[0]:
        raise SandboxFailed("The command names no program.")
    strings = (*command.argv, *command.environment, *command.environment.values())
    if any("\0" in text for text in strings):
        raise SandboxFailed("A command holds a NUL character.")
    if command.cwd is not None:
        normal = Path(os.path.normpath(command.cwd))
        if normal != profile.workspace and profile.workspace not in normal.parents:
            raise SandboxFailed("The working directory lies outside the workspace.")
    return command


def name_of(profile: Profile) -> str:
    """Deterministic, and distinct per owner, generation and workspace."""
    owner = re.sub(r"[^a-z0-9]+", "-", profile.owner.lower()).strip("-")[:60]
    place = hashlib.sha256(os.fsencode(profile.workspace)).hexdigest()[:8]
    return f"moorage-{owner}-g{profile.generation}-{place}"


def profile_as_json(profile: Profile) -> dict[str, Any]:
    """The profile as plain JSON, for a reference."""
    return {
        "owner": profile.owner,
        "generation": profile.generation,
        "workspace": str(profile.workspace),
        "memory_mb": profile.memory_mb,
        "cpu_millis": profile.cpu_millis,
        "pids": profile.pids,
        "image": profile.image,
        "runtime": profile.runtime,
        "environment": dict(profile.environment),
        "readable": [str(path) for path in profile.readable],
        "ports": dict(profile.ports),
        "uid": profile.uid,
        "install": profile.install,
        "egress": None if profile.egress is None else str(profile.egress),
        "volumes": [{**asdict(volume), "source": str(volume.source)} for volume in profile.volumes],
    }


def profile_from_json(document: dict[str, Any]) -> Profile:
    """The profile of a reference; SandboxGone for a reference that is none."""
    try:
        paths = tuple(Path(path) for path in document["readable"])
        egress = Path(document["egress"]) if document.get("egress") else None
        volumes = tuple(Volume(**{**one, "source": Path(one["source"])}) for one in document.get("volumes", ()))
        found = {"workspace": Path(document["workspace"]), "readable": paths, "egress": egress, "volumes": volumes}
        return Profile(**{**document, **found})
    except (KeyError, TypeError) as error:
        raise SandboxGone("The sandbox's reference cannot be read.") from error


def is_marked(profile: Profile) -> bool:
    """Whether the sandbox of this profile is open."""
    try:
        return Beneath(profile.workspace).exists(_mark(profile))
    except FileNotFoundError:
        return False


def launchers(name: str) -> list[psutil.Process]:
    """The launcher processes of a sandbox, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        argv = process.info["cmdline"] or []
        if len(argv) == 9 and argv[4] == str(launch.LAUNCHER) and argv[5:7] == ["supervise", name]:
            found.append(process)
    return found


def end_launchers(name: str) -> None:
    """SIGTERM every launcher of ``name`` and wait until its tree is gone; kill what does not obey."""
    processes = launchers(name)
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    until = time.monotonic() + _END_S
    while any(_runs(process) for process in processes):
        if time.monotonic() >= until:
            _kill(processes)
            return
        time.sleep(0.01)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _runs(process: psutil.Process) -> bool:
    try:
        # A zombie has ended; its parent (a session host) collects it in its own time.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mark(profile: Profile) -> str:
    return f"{_MARK}{profile.generation}"
