"""The system call filter of every tier that we set up ourselves: what a coding job never needs, as classic BPF.

Pure: from an architecture and a choice of networking to the bytes of a filter program. The launcher installs it
after everything else, because it also forbids most of what the setting up needs.

Numbers come from the kernel's syscall tables (arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h); constants from include/uapi/linux.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_LOAD, _JEQ, _JGE, _JSET, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_X32_BIT = 0x40000000

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_TYPE_MASK, _IPPROTO_TCP = 1, 0xF, 6
_MSG_FASTOPEN = 0x20000000
_SET_ID_BITS = 0o6000
_CREATING_FLAGS = 0x400040  # O_CREAT | __O_TMPFILE
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}: a new namespace would give capabilities inside it.
_NEW_NAMESPACES = 0x7E020080
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into somebody's terminal


class Network(StrEnum):
    """Which sockets a sandbox may make."""

    TCP_ONLY = "tcp-only"  # IP sockets are TCP (Landlock then rules their ports); no unix sockets
    NONE = "none"  # socketpair only
    NAMESPACE = "namespace"  # the network namespace is the wall: unix, TCP and UDP within it


@dataclass(frozen=True, slots=True)
class Architecture:
    """AUDIT_ARCH value and syscall numbers; a call that the architecture lacks is absent."""

    audit: int
    numbers: dict[str, int]


# fmt: off
_X86_64 = Architecture(0xC000003E, {
    "socket": 41, "sendto": 44, "sendmsg": 46, "clone": 56, "ptrace": 101, "syslog": 103, "personality": 135,
    "pivot_root": 155, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167,
    "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "lookup_dcookie": 212, "clock_settime": 227,
    "mbind": 237, "set_mempolicy": 238, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
    "prlimit64": 302, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "adjtimex": 159,
    "sendmmsg": 307, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "truncate": 76,
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "open": 2, "openat": 257, "creat": 85,
    "openat2": 437, "mknod": 133, "mknodat": 259, "ioctl": 16,
})
_AARCH64 = Architecture(0xC00000B7, {
    "socket": 198, "sendto": 206, "sendmsg": 211, "clone": 220, "ptrace": 117, "syslog": 116, "personality": 92,
    "pivot_root": 41, "chroot": 51, "acct": 89, "settimeofday": 170, "mount": 40, "umount2": 39, "swapon": 224,
    "swapoff": 225, "reboot": 142, "sethostname": 161, "setdomainname": 162, "init_module": 105,
    "delete_module": 106, "quotactl": 60, "lookup_dcookie": 18, "clock_settime": 112, "mbind": 235,
    "set_mempolicy": 237, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219,
    "migrate_pages": 238, "unshare": 97, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262,
    "prlimit64": 261, "name_to_handle_at": 264, "open_by_handle_at": 265, "clock_adjtime": 266, "adjtimex": 171,
    "sendmmsg": 269, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "finit_module": 273, "kexec_file_load": 294, "bpf": 280, "userfaultfd": 282, "truncate": 45,
    "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "openat": 56, "openat2": 437, "mknodat": 33, "ioctl": 29,
})
ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}

_FORBIDDEN = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "quotactl", "name_to_handle_at",
    "open_by_handle_at", "bpf", "perf_event_open", "userfaultfd", "fanotify_init",
    "add_key", "request_key", "keyctl", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "acct", "syslog", "iopl", "ioperm", "lookup_dcookie",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
    "mbind", "set_mempolicy", "migrate_pages", "move_pages",
)
# fmt: on
# One number on every architecture: open_tree … fspick, the mount calls after them, pidfd_getfd, io_uring.
_FORBIDDEN_EVERYWHERE = (428, 429, 430, 431, 432, 433, 442, 443, 438, 440, 448)
# ENOSYS makes programs fall back to the older call, whose arguments a filter can read (clone3 → clone).
_ABSENT_EVERYWHERE = (425, 426, 427, 435)  # io_uring_setup/enter/register, clone3


def filter_program(*, machine: str, network: Network, forbid: Sequence[str] = ()) -> bytes:
    """The filter as an array of struct sock_filter for ``prctl(PR_SET_SECCOMP)``; ``forbid`` names further calls.

    Raises KeyError for an architecture whose numbers we do not know: no sandbox is better than a hollow one.
    """
    architecture = ARCHITECTURES[machine]
    numbers = architecture.numbers
    code: list[bytes] = [
        _load(_ARCHITECTURE),
        _jump(_JEQ, architecture.audit, 1, 0),
        _return(_KILL),
        _load(_NUMBER),
    ]
    if machine == "x86_64":
        code += [_jump(_JGE, _X32_BIT, 0, 1), _return_errno(errno.ENOSYS)]
    refused = [numbers[name] for name in (*_FORBIDDEN, *forbid) if name in numbers]
    for number in (*refused, *_FORBIDDEN_EVERYWHERE):
        code += [_jump(_JEQ, number, 0, 1), _return_errno(errno.EPERM)]
    for number in (*_ABSENT_EVERYWHERE, numbers["openat2"]):
        code += [_jump(_JEQ, number, 0, 1), _return_errno(errno.ENOSYS)]
    for name, body in _argument_rules(network).items():
        if name in numbers:
            code += [_jump(_JEQ, numbers[name], 0, len(body)), *body]
    code.append(_return(_ALLOW))
    return b"".join(code)


def _argument_rules(network: Network) -> dict[str, list[bytes]]:
    """Calls that are refused by their arguments; each body ends in a verdict."""
    rules = {
        "clone": _refuse_bits(0, _NEW_NAMESPACES),
        # Another process's limits; one's own are named 0.
        "prlimit64": [_load(_argument(0)), _jump(_JEQ, 0, 1, 0), _return_errno(errno.EPERM), _return(_ALLOW)],
        "ioctl": [
            _load(_argument(1)),
            _jump(_JEQ, _TIOCSTI, 1, 0),
            _jump(_JEQ, _TIOCLINUX, 0, 1),
            _return_errno(errno.EPERM),
            _return(_ALLOW),
        ],
        "socket": _socket_rule(network),
    }
    # A set-id file in a workspace would be a way up for everybody else on the host.
    for name, position in (
        ("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("creat", 1), ("mknod", 1), ("mknodat", 2),
    ):  # fmt: skip
        rules[name] = _refuse_bits(position, _SET_ID_BITS)
    for name, position in (("open", 2), ("openat", 3)):
        # Without O_CREAT or O_TMPFILE the mode is whatever the register held.
        creates = [_load(_argument(position - 1)), _jump(_JSET, _CREATING_FLAGS, 1, 0), _return(_ALLOW)]
        rules[name] = [*creates, *_refuse_bits(position, _SET_ID_BITS)]
    if network is not Network.NAMESPACE:
        # Fast open connects inside a send, past Landlock's connect rule.
        for name, position in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
            rules[name] = _refuse_bits(position, _MSG_FASTOPEN)
    return rules


def _socket_rule(network: Network) -> list[bytes]:
    allow, refuse = _return(_ALLOW), _return_errno(errno.EACCES)
    netlink_route_only = [_load(_argument(2)), _jump(_JEQ, 0, 0, 1), allow, refuse]
    start = [_load(_argument(0)), _jump(_JEQ, _AF_NETLINK, 0, len(netlink_route_only)), *netlink_route_only]
    if network is Network.NONE:
        return [*start, refuse]
    if network is Network.NAMESPACE:
        return [
            *start,
            _jump(_JEQ, _AF_UNIX, 2, 0),
            _jump(_JEQ, _AF_INET, 1, 0),
            _jump(_JEQ, _AF_INET6, 0, 1),
            allow,
            refuse,
        ]
    return [
        *start,
        _jump(_JEQ, _AF_INET, 1, 0),
        _jump(_JEQ, _AF_INET6, 0, 6),
        _load(_argument(1)),
        struct.pack("=HBBI", _AND, 0, 0, _SOCK_TYPE_MASK),
        _jump(_JEQ, _SOCK_STREAM, 0, 3),
        _load(_argument(2)),  # 0 or TCP: Landlock does not see MPTCP, SCTP, SMC
        _jump(_JEQ, 0, 2, 0),
        _jump(_JEQ, _IPPROTO_TCP, 1, 0),
        refuse,
        allow,
    ]


def _refuse_bits(position: int, bits: int) -> list[bytes]:
    return [_load(_argument(position)), _jump(_JSET, bits, 0, 1), _return_errno(errno.EPERM), _return(_ALLOW)]


def _argument(position: int) -> int:
    return _FIRST_ARGUMENT + 8 * position  # the low half: both architectures are little-endian


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _jump(test: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", test, if_true, if_false, value)


def _return(verdict: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, verdict)


def _return_errno(number: int) -> bytes:
    return _return(0x00050000 | number)
