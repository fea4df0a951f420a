"""The container's system call profile: what a coding job needs, in the engine's words; everything else is refused.

Complete in itself: it takes the place of the engine's own profile and does not depend on its version. It is in force
for all that ever runs in the container, also for what an operator executes there by hand; the launcher puts its
narrower filter (:mod:`resources.sandboxes.seccomp`) on top for each command. Pure data and a pure function.

Not in it, among others: io_uring, namespaces and mounts, keys, tracing, BPF, modules, clocks, and every socket family
but unix, IPv4, IPv6 and the routing part of netlink (so neither AF_VSOCK nor AF_ALG nor AF_PACKET).
"""

from __future__ import annotations

import errno
import json
from functools import cache
from typing import Any

_ALLOW, _ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
_EQUAL, _MASKED = "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
SOCKET_FAMILIES = {"unix": 1, "ipv4": 2, "ipv6": 10}
_NETLINK, _NETLINK_ROUTE = 16, 0
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_NEW_NAMESPACES = 0x7E020080
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, with UNAME26 or 32 bit; the last asks

# fmt: off
FILES = (
    "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3",
    "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
    "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr", "fsetxattr", "fstat",
    "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "ioctl", "lchown", "lgetxattr", "link", "linkat", "listxattr",
    "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "memfd_create", "mkdir", "mkdirat", "mknod",
    "mknodat", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64",
    "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr", "rename", "renameat",
    "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "tee", "truncate", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimes",
    "vmsplice", "write", "writev",
)
PROCESSES = (
    "alarm", "arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex",
    "futex_waitv", "get_robust_list", "getcpu", "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
    "getsid", "gettid", "getuid", "kill", "membarrier", "pause", "pidfd_open", "pidfd_send_signal", "prctl",
    "prlimit64", "restart_syscall", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "set_robust_list", "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups",
    "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid",
    "setuid", "sigaltstack", "signalfd", "signalfd4", "sysinfo", "tgkill", "times", "tkill", "uname", "vfork",
    "wait4", "waitid",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
)
MEMORY = (
    "brk", "madvise", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mprotect", "mremap", "msync", "munlock",
    "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_mrelease", "remap_file_pages",
    "mseal", "map_shadow_stack",
)
WAITING = (
    "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait",
    "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "gettimeofday", "io_cancel", "io_destroy", "io_getevents",
    "io_pgetevents", "io_setup", "io_submit", "nanosleep", "poll", "ppoll", "pselect6", "select", "time",
    "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime", "timerfd_create",
    "timerfd_gettime", "timerfd_settime",
)
CONVERSATION = (
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recvfrom",
    "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget",
    "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
)
# Programs probe for these and take the older call when they are told that there is none.
ABSENT = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
# fmt: on


@cache
def profile(machine: str) -> str:
    """The profile as JSON for the engine's ``security_opt``. KeyError for a machine whose calls we do not know."""
    rules: list[dict[str, Any]] = [
        {"names": sorted({*FILES, *PROCESSES, *MEMORY, *WAITING, *CONVERSATION}), "action": _ALLOW},
        *(_when("socket", _is(0, family)) for family in SOCKET_FAMILIES.values()),
        _when("socket", _is(0, _NETLINK), _is(2, _NETLINK_ROUTE)),
        _when("clone", {"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": _MASKED}),
        *(_when("personality", _is(0, value)) for value in _PERSONALITIES),
        {"names": list(ABSENT), "action": _ERRNO, "errnoRet": errno.ENOSYS},
    ]
    document = {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": errno.EPERM,
        "architectures": [ARCHITECTURES[machine]],
        "syscalls": rules,
    }
    return json.dumps(document, separators=(",", ":"))


def _when(name: str, *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": [name], "action": _ALLOW, "args": list(arguments)}


def _is(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": _EQUAL}
