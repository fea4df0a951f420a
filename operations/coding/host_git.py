"""Runs git on the host side, in vaults only: our configuration, bounded in time and bytes.

Never in a workspace: hooks, filters, fsmonitor and aliases there are someone else's programs.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from git.cmd import Git
from git.exc import GitCommandNotFound

from operations.coding.git_faults import GitMissing, TooBig, Unreachable, VaultBusy, classify

# What git may see of the service's environment; everything else is unset by name. The service's own keys and
# another git's GIT_DIR must not reach git, its ssh, or the hooks of a local remote.
_KEPT = frozenset(
    {"PATH", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}
)

_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.bigFileThreshold=16m",
    "core.quotePath=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.followRedirects=false",
    "http.lowSpeedLimit=500",
    "http.lowSpeedTime=60",
    "pack.threads=1",
    "protocol.ext.allow=never",
    "transfer.fsckObjects=true",
    "transfer.bundleURI=false",
    # Old but harmless, and found in the history of well-known repositories.
    "fetch.fsck.zeroPaddedFilemode=warn",
    "fetch.fsck.missingSpaceBeforeDate=warn",
    "fetch.fsck.badTimezone=warn",
    "commit.gpgSign=false",
    "i18n.commitEncoding=UTF-8",
)

_ERRORS_KEPT = 65_536
_LOCK_RETRIES = 6


@dataclass(frozen=True, slots=True)
class Ran:
    """How a git command ended; ``cut`` when its output went past the limit and it was ended for that."""

    code: int
    stdout: bytes
    stderr: str
    cut: bool

    def text(self) -> str:
        """Standard output, stripped."""
        return self.stdout.decode("utf-8", "replace").strip()


def run(
    vault: Path,
    *arguments: str,
    doing: str,
    stdin: bytes | IO[bytes] = b"",
    sink: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    config: Sequence[str] = (),
    protocols: str = "file",
    timeout_s: float = 120.0,
    limit_bytes: int = 64_000_000,
    cut_is_fine: bool = False,
    grown: Callable[[], bool] | None = None,
    codes: tuple[int, ...] = (0,),
) -> Ran:
    """Run ``git <arguments>`` on the bare repository ``vault`` and return what it said.

    Raises the fault its error text stands for, ``git.too_big`` past ``limit_bytes`` (unless ``cut_is_fine``)
    or once ``grown()`` is true (asked five times a second), ``git.unreachable`` after ``timeout_s``.
    A lock file that another git holds for a moment is waited for.
    """
    command = [*_without_service_environment(), "git", f"--git-dir={vault}"]
    for setting in (*_CONFIG, *config):
        command += ["-c", setting]
    command += arguments
    settings = _environment(vault, protocols) | dict(environment or {})
    for attempt in range(_LOCK_RETRIES):
        run_once = _Run(command, settings, timeout_s, limit_bytes, grown)
        ran = run_once.to_the_end(vault, stdin, sink)
        if run_once.timed_out:
            raise Unreachable(f"{doing}: git did not finish within {timeout_s:g} s")
        if run_once.outgrown or (ran.cut and not cut_is_fine):
            raise TooBig(f"{doing}: more than the limit allows", limit_bytes=limit_bytes)
        if ran.cut or ran.code in codes:
            return ran
        if ran.code in {126, 127}:
            raise GitMissing(f"{doing}: the git program could not be started")
        fault = classify(ran.stderr, doing=doing)
        if not isinstance(fault, VaultBusy) or sink is not None or attempt == _LOCK_RETRIES - 1:
            raise fault
        time.sleep(0.05 * 2**attempt)
    raise VaultBusy(f"{doing}: the vault stayed locked")


def _without_service_environment() -> list[str]:
    names = sorted(name for name in os.environ if name not in _KEPT)
    return ["env", *(word for name in names for word in ("-u", name))]


def _environment(vault: Path, protocols: str) -> dict[str, str]:
    return {
        "HOME": str(vault),  # nobody's .netrc, .ssh or .config
        "XDG_CONFIG_HOME": str(vault),
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        # A delta may claim to unfold to gigabytes: one allocation is never larger than this.
        "GIT_ALLOC_LIMIT": "1g",
    }


class _Run:
    """One process in a session of its own, so that all it started ends with it."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        timeout_s: float,
        limit_bytes: int,
        grown: Callable[[], bool] | None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._deadline = time.monotonic() + timeout_s
        self._limit = limit_bytes
        self._grown = grown
        self._ended = threading.Event()
        self.timed_out = False
        self.outgrown = False

    def to_the_end(self, vault: Path, stdin: bytes | IO[bytes], sink: IO[bytes] | None) -> Ran:
        # GitPython's kill_after_timeout ends git alone: a hanging ssh would keep the pipe, and us, for ever.
        with contextlib.ExitStack() as stack:
            process = self._start(vault, stdin, stack)
            errors = bytearray()
            threads = [
                threading.Thread(target=_drain, args=(process.stderr, errors), daemon=True),
                threading.Thread(target=self._watch, args=(process.pid,), daemon=True),
            ]
            for thread in threads:
                thread.start()
            kept = sink if sink is not None else io.BytesIO()
            try:
                cut = self._copy(process, kept)
                threads[0].join()
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its pid stays its own until wait() below
            except BaseException:
                _kill(process.pid)
                raise
            finally:
                self._ended.set()
                threads[1].join()
                process.proc.wait()
                process.stdout.close()
                process.stderr.close()
        stdout = kept.getvalue() if isinstance(kept, io.BytesIO) and sink is None else b""
        return Ran(process.proc.returncode, stdout, errors.decode("utf-8", "replace"), cut)

    def _start(self, vault: Path, stdin: bytes | IO[bytes], stack: contextlib.ExitStack) -> Any:
        if isinstance(stdin, bytes):
            source: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack is its context
            source.write(stdin)
        else:
            source = stdin
        source.seek(0)
        try:
            return Git(str(vault.parent)).execute(
                self._command,
                istream=cast(BinaryIO, source),
                as_process=True,
                env=self._environment,
                start_new_session=True,
            )
        except GitCommandNotFound as error:
            raise GitMissing("The `env` program could not be started") from error

    def _copy(self, process: Any, kept: IO[bytes]) -> bool:
        total = 0
        while chunk := process.stdout.read1(1 << 16):
            kept.write(chunk[: max(self._limit - total, 0)])
            total += len(chunk)
            if total > self._limit:
                _kill(process.pid)
                return True
        return False

    def _watch(self, pid: int) -> None:
        while not self._ended.wait(min(0.2, max(self._deadline - time.monotonic(), 0.01))):
            self.timed_out = self.timed_out or time.monotonic() > self._deadline
            self.outgrown = self.outgrown or (self._grown is not None and self._grown())
            if self.timed_out or self.outgrown:
                _kill(pid)


def _drain(pipe: IO[bytes], kept: bytearray) -> None:
    while chunk := pipe.read(4096):
        kept += chunk
        del kept[:-_ERRORS_KEPT]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
