"""A short look at a repository before work on it is requested: is it allowed, does it answer, is the branch there?

It happens beside the thread that asks, on two threads of its own, and whoever asks waits for a bounded time only.
"""

from __future__ import annotations

import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from operations.coding import credentials, upstream, vault
from operations.coding.git_faults import Unreachable
from operations.coding.remotes import check_url

PATIENCE_S = 6.0  # of whoever asks, waiting for a thread included
ANSWER_S = 4.0  # of one question to the remote
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="remote-look")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the remote said: the base branch and where it is now."""

    branch: str
    commit: str


def look(*, url: str, branch: str = "", patience_s: float = PATIENCE_S) -> Seen:
    """Ask the remote. Raises ``repository.refused``, ``git.unreachable`` and what else git says, as a stage would."""
    asked = _threads.submit(_ask, url, branch)
    try:
        return asked.result(timeout=patience_s)
    except TimeoutError:
        asked.cancel()
        raise Unreachable(f"The repository did not answer within {patience_s:g} s") from None


def _ask(url: str, branch: str) -> Seen:
    remote = check_url(url, local_roots=settings.REPOSITORY_ROOTS, allowed_hosts=settings.REPOSITORY_HOSTS)
    with tempfile.TemporaryDirectory(prefix="moorage-look-") as directory:
        store = vault.open_vault(root=Path(directory), project_id=uuid.uuid4())
        name, commit = upstream.tip_of(
            vault=store, remote=remote, branch=branch, credentials=credentials.configured(), timeout_s=ANSWER_S
        )
    return Seen(name, commit)
