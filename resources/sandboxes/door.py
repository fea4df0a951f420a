"""The door of a berth: a directory of its own beside the workspace, through which its agent is reached.

It is mounted into the container at a fixed place. While the agent starts, the directory is the inhabitant's; once it
listens, the directory is ours where we are root, so that nobody inside can remove the socket, put another in its place
or fill the host's disk. It lies beside the workspace and not in it: the engine follows the path of a mount again at
each start, so no part of it may be the inhabitant's to change.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

from resources.files import Beneath
from resources.sandboxes.protocol import SandboxFailed

SOCKET = "agent.sock"
_OPEN, _SHUT = 0o700, 0o711
_PAUSE_S = 0.005


class AgentUnreachable(SandboxFailed):
    """Nothing was asked yet: there is no socket, nobody listens, or no greeting came in time."""

    code = "sandbox.agent_unreachable"
    remedy = "The command is carried by the engine instead; if this stays, recreate the environment."


def place(workspace: Path) -> Path:
    """Where the door of this workspace is."""
    return workspace.with_name(workspace.name + ".door")


def build(workspace: Path, *, uid: int) -> Path:
    """Make the door anew for an agent of this uid that will start."""
    directory = place(workspace)
    Beneath(directory).remove_tree()
    directory.mkdir(mode=_OPEN)
    if os.geteuid() == 0:
        os.chown(directory, uid, uid)
    return directory


def shut(workspace: Path) -> None:
    """The agent listens: from now on only we may change what the door holds, where we are root."""
    if os.geteuid() == 0:
        os.chown(place(workspace), 0, 0)
        place(workspace).chmod(_SHUT)


def remove(workspace: Path) -> None:
    """Take the door away; a missing one is fine."""
    Beneath(place(workspace)).remove_tree()


def knock(workspace: Path, *, within_s: float) -> socket.socket:
    """A connection to whoever listens behind the door. AgentUnreachable, never a wait beyond ``within_s``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(within_s)
        # Pinned before it is judged: a link to another socket of the host would make us speak to that.
        found = os.open(place(workspace) / SOCKET, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISSOCK(os.fstat(found).st_mode):
                raise AgentUnreachable("What lies behind the berth's door is no socket.")
            _connect(connection, f"/proc/self/fd/{found}", until=time.monotonic() + within_s)
        finally:
            os.close(found)
    except OSError as error:
        connection.close()
        raise AgentUnreachable(f"The berth's agent cannot be reached: {error.strerror or error}.") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(connection: socket.socket, address: str, *, until: float) -> None:
    """Again while the agent's queue is full, which a unix socket says at once."""
    while True:
        try:
            connection.connect(address)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def wait(workspace: Path, *, within_s: float) -> bool:
    """Whether somebody listens behind the door before the time is over."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if is_answered(workspace, within_s=within_s):
            return True
        time.sleep(_PAUSE_S)
    return False


def is_answered(workspace: Path, *, within_s: float) -> bool:
    """Whether somebody listens behind the door now."""
    try:
        knock(workspace, within_s=within_s).close()
    except AgentUnreachable:
        return False
    return True
