"""The container's own system call profile: what it says, and that it holds where no filter of the launcher does."""

from __future__ import annotations

import json
import platform
from contextlib import closing

import docker
import pytest

from resources.sandboxes import syscalls
from resources.sandboxes.protocol import Command, Tier

from .conftest import Opener

# fmt: off
NEVER = (
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "ptrace", "process_vm_readv",
    "process_vm_writev", "kcmp", "bpf", "keyctl", "add_key", "request_key", "perf_event_open", "userfaultfd",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "acct", "quotactl", "name_to_handle_at",
    "open_by_handle_at", "fanotify_init", "fsopen", "fsmount", "move_mount", "open_tree", "mount_setattr",
    "pidfd_getfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "lookup_dcookie", "iopl", "ioperm",
    "modify_ldt", "syslog", "sethostname", "setdomainname", "nfsservctl", "vhangup",
)
# fmt: on


@pytest.fixture
def rules() -> list[dict[str, object]]:
    return list(json.loads(syscalls.profile("x86_64"))["syscalls"])


def test_what_is_not_named_is_refused(rules: list[dict[str, object]]) -> None:
    assert json.loads(syscalls.profile("x86_64"))["defaultAction"] == "SCMP_ACT_ERRNO"
    allowing = [rule for rule in rules if rule["action"] == "SCMP_ACT_ALLOW"]
    allowed = {name for rule in allowing for name in rule["names"]}  # type: ignore[attr-defined]
    assert not allowed & set(NEVER)
    assert {"read", "execve", "openat", "socketpair", "rseq"} <= allowed


def test_only_four_socket_families_are_made(rules: list[dict[str, object]]) -> None:
    families = [rule["args"][0]["value"] for rule in rules if rule["names"] == ["socket"]]  # type: ignore[index]
    assert sorted(families) == [1, 2, 10, 16]


def test_an_unknown_machine_has_no_profile() -> None:
    with pytest.raises(KeyError):
        syscalls.profile("m68k")


ATTACK = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
for family in (40, 38, 17, 31, 21, 2, 1, 10):
    try:
        socket.socket(family, socket.SOCK_STREAM if family not in (17,) else socket.SOCK_RAW).close()
        print("family", family)
    except OSError as error:
        if family in (1, 2):
            print("refused", family, error)
numbers = %r
for name, number in numbers.items():
    ctypes.set_errno(0)
    argument = 0x10000000 if name in ("unshare", "clone") else 0
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(argument), 0, 0, 0, 0)
    if result >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
        print("let through", name, result, ctypes.get_errno())
"""
NUMBERS = {
    "x86_64": {"ptrace": 101, "unshare": 272, "mount": 165, "bpf": 321, "keyctl": 250, "perf_event_open": 298,
               "userfaultfd": 323, "setns": 308, "chroot": 161, "clone": 56, "name_to_handle_at": 303},
    "aarch64": {"ptrace": 117, "unshare": 97, "mount": 40, "bpf": 280, "keyctl": 219, "perf_event_open": 241,
                "userfaultfd": 282, "setns": 268, "chroot": 51, "clone": 220, "name_to_handle_at": 264},
}  # fmt: skip
EVERYWHERE = {"io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "pidfd_getfd": 438, "clone3": 435}


@pytest.mark.needs_docker
def test_it_holds_for_what_an_operator_executes_by_hand(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER)
    numbers = {**NUMBERS[platform.machine()], **EVERYWHERE}
    with closing(docker.from_env()) as client:
        container = client.containers.get(sandbox.reference()["name"])
        options = container.attrs["HostConfig"]["SecurityOpt"]
        code, output = container.exec_run(["python3", "-c", ATTACK % numbers])
    assert isinstance(output, bytes)
    assert code == 0, output
    # Only where the kernel has IPv6 can the last be made.
    assert set(output.decode().splitlines()) <= {"family 2", "family 1", "family 10"}, output
    assert {"family 1", "family 2"} <= set(output.decode().splitlines())
    assert f"seccomp={syscalls.profile(platform.machine())}" in options


@pytest.mark.needs_docker
def test_ordinary_work_needs_nothing_more(opener: Opener) -> None:
    sandbox = opener(Tier.CONTAINER)
    program = (
        "import asyncio, multiprocessing, tempfile, sqlite3, threading, subprocess, mmap, fcntl, shutil\n"
        "async def main():\n"
        "  server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)\n"
        "  p = await asyncio.create_subprocess_exec('sh', '-c', 'exit 3'); assert await p.wait() == 3\n"
        "asyncio.run(main())\n"
        "with tempfile.TemporaryDirectory() as d:\n"
        "  db = sqlite3.connect(d + '/x.db'); db.execute('pragma journal_mode=wal'); db.execute('create table t(x)')\n"
        "  db.commit(); db.close(); shutil.copyfile('/etc/passwd', d + '/p')\n"
        "if __name__ == '__main__':\n"
        "  multiprocessing.set_start_method('fork')\n"
        "  with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]\n"
        "  print('fine')\n"
    )
    outcome = sandbox.run(Command(argv=("python3", "-c", program)))
    assert outcome.stdout == b"fine\n", outcome.text()
