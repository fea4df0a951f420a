"""The one shape every sandbox has, whatever it is made of.

A sandbox is opened from a :class:`Profile`, survives the process that opened it, and is found again by
:func:`adopt` from its :class:`Reference` (plain JSON on the agent's row). Paths inside the sandbox are the same
strings as outside, so that a path in a log means one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

from events.faults import Fault, FaultClass


class Tier(StrEnum):
    """How strongly a sandbox isolates, weakest first. Compare with :attr:`strength`, never as text."""

    BARE = "bare"
    LANDLOCK = "landlock"
    PROCESS = "process"
    CONTAINER = "container"

    @property
    def strength(self) -> int:
        """0 (bare subprocess) to 3 (container)."""
        return list(Tier).index(self)


class IsolationUnavailable(Fault):
    """No tier of this host satisfies the template's ``min_isolation``: spawning fails closed."""

    fault_class = FaultClass.CONFIGURATION
    code = "isolation.unavailable"
    remedy = "Run `python manage.py doctor`: it says which tiers this host has and how to get the others."


class SandboxGone(Fault):
    """The sandbox a reference points at is not there any more."""

    fault_class = FaultClass.RESOURCE
    code = "sandbox.gone"
    remedy = "The environment is created again from the last snapshot."


class SandboxFailed(Fault):
    """The sandbox could not be opened or could not start a command at all (not: the command failed)."""

    fault_class = FaultClass.RESOURCE
    code = "sandbox.failed"
    remedy = "Look at the agent's log and at `python manage.py doctor`."


class NoConversation(SandboxFailed):
    """Commands go through the engine's exec here, which cannot hold a conversation with one."""

    fault_class = FaultClass.CONFIGURATION
    code = "conversation.unavailable"
    remedy = "Use the process tier, or a container image with python3 on the ordinary runtime."


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory of the host and where it stands inside. ``pinned``: a mount of ours, which has to be there."""

    source: Path  # absolute
    target: str  # absolute
    writable: bool = False
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """What to open: who owns it, where it works, and its limits. ``environment`` never holds a secret."""

    owner: str  # "agent:<uuid>"
    generation: int
    workspace: Path  # absolute; with writable volumes, the only writable place of the sandbox
    memory_mb: int = 1024
    cpu_millis: int = 500  # thousandths of one core
    pids: int = 256
    image: str = ""  # container tier only
    runtime: str = ""  # container tier only: one of policy.RUNTIMES; empty for the engine's own
    environment: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()  # further host directories, mounted read-only (the toolchain)
    volumes: tuple[Volume, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)  # name -> leased port, also in environment as PORT_<NAME>
    egress: Path | None = None  # host directory of this berth's proxy socket; None: nothing leaves
    uid: int | None = None  # leased, unprivileged, where the service is root; the workspace becomes its
    install: str = ""  # which Moorage it belongs to, where several share a machine; a label on what can carry one


class Peer(Protocol):
    """Who speaks with a running program over its input and output. Called by the thread that runs the command.

    What it raises ends the command, whole tree, and reaches whoever ran it.
    """

    def heard(self, data: bytes) -> None:
        """What the program wrote to its output just now."""

    def says(self) -> bytes | None:
        """What to write to its input next: nothing now is ``b""``, None ends the input. Asked about five times a
        second, and after each :meth:`heard`.
        """


@dataclass(frozen=True, slots=True)
class Command:
    """One program run: an argv list, never a shell string."""

    argv: tuple[str, ...]
    cwd: Path | None = None  # absolute, beneath the workspace; the workspace itself when None
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0
    output_limit_bytes: int = 1_000_000  # per stream; the middle is cut out and ``truncated`` set
    stdin: bytes = b""  # what comes first; its end too, unless a peer goes on
    peer: Peer | None = None  # holds a conversation with it; not every way into a sandbox can carry one
    hidden: tuple[str, ...] = ()  # values among the above that nobody may see
    overheard: Callable[[str, bytes], None] | None = None  # told what it writes as it comes: to "stdout" or "stderr"
    part: str = ""  # of the work it belongs to, where several go on at once: for transcripts


@dataclass(frozen=True, slots=True)
class Keeping:
    """Have a terminal kept for the next owner should this process die: where they find it, and what counts its bytes.

    ``counter`` is a descriptor of shared memory; how many bytes were read stands in its first eight.
    """

    path: Path
    counter: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. ``exit_code`` is None when it was killed by us (timeout or cancellation)."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    timed_out: bool
    cancelled: bool
    duration_s: float
    tier: Tier

    @property
    def ok(self) -> bool:
        """True only for a completed command with exit code 0."""
        return self.exit_code == 0

    def text(self, limit: int = 4000) -> str:
        """The tail of stdout then stderr, decoded with replacement, at most ``limit`` characters."""
        joined = (self.stdout + (b"\n" if self.stdout and self.stderr else b"") + self.stderr).decode(
            "utf-8", "replace"
        )
        return joined if len(joined) <= limit else "…" + joined[-limit:]


@dataclass(frozen=True, slots=True)
class Stats:
    """What the sandbox uses now. None where the tier cannot tell."""

    memory_mb: int | None
    processes: int | None
    cpu_s: float | None


Reference = dict[str, Any]  # {"tier": "...", "name": "...", "profile": {...}, ...}: JSON on the agent's row


class Sandbox(Protocol):
    """An open sandbox."""

    tier: Tier
    note: str  # what this tier does not cover on this host, in words; shown wherever the tier is shown

    def reference(self) -> Reference:
        """The JSON from which :func:`resources.sandboxes.selection.adopt` finds this sandbox again."""

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end, kill the whole process tree at the timeout or as soon as ``cancelled()`` is true.

        ``cancelled`` is polled about five times a second.
        """

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        """Start ``command`` on a new PTY inside; returns (host pid, master file descriptor owned by the caller).

        It ends with the calling process, unless it is kept for the next one. The pid ends with its exit code.
        """

    def stats(self) -> Stats:
        """Resource use now."""

    def alive(self) -> bool:
        """Whether the sandbox is still there and usable."""

    def close(self) -> None:
        """Kill all that runs inside and remove the sandbox, not the workspace. Closing twice is fine."""


Ready = Callable[[], object]  # waits until something is there, and raises what kept it from being made


def there_already() -> None:
    """For what needs no waiting."""


class Provider(Protocol):
    """One tier: probes itself, opens and adopts sandboxes."""

    tier: ClassVar[Tier]

    def probe(self) -> Availability:
        """Whether this host can do it, why not, and the command that gets it. Cheap: below 50 ms, cached by callers."""

    def open(self, profile: Profile, *, workspace_ready: Ready) -> Sandbox:
        """Open it. The workspace may still be made meanwhile: ``workspace_ready`` is called before it is used."""

    def at(self, reference: Reference) -> Sandbox:
        """The sandbox of this reference, neither looked for nor started: to be closed. SandboxGone for no reference."""

    def adopt(self, reference: Reference) -> Sandbox:
        """Raises :class:`SandboxGone` when it is not there any more."""


@dataclass(frozen=True, slots=True)
class Availability:
    """A tier's answer to "can this host do it?"."""

    tier: Tier
    available: bool
    reason: str  # why not, or what it lacks
    remedy: str  # the command that gets it
