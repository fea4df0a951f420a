"""Starts one command sealed, and ends its whole process tree. Runs alone: standard library only, ``python -I -S``.

    launcher.py supervise NAME CONTROL_FD STATUS_FD    reads a plan (one JSON line) from CONTROL_FD
    launcher.py attend NAME                            inside a container: CONTROL_FD is standard input
    launcher.py terminal NAME LOCK                     inside a container, on a terminal: the plan is in MOORAGE_PLAN
    launcher.py seal PLAN_FD STATUS_FD                 inside bubblewrap: seals itself and becomes the command

The supervisor is a subreaper: whatever the command leaves behind, also in sessions of its own, becomes the
supervisor's child and is killed. It does so when the command ends, when CONTROL_FD closes (our side gave up or died)
and on SIGTERM. It says ``sealed``, then ``exit N`` or ``failed TEXT`` on STATUS_FD; the command itself never holds
that descriptor. One process per sandbox command, in the foreground of nobody.
"""

# Each of these is loaded for each command: json brings regular expressions, signal enumerations of its names, and both
# took as long as all the rest. Beneath them are modules of C that need nothing.
import _signal as signal
import ctypes
import fcntl
import os
import resource
import select
import sys
import termios
import time

SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 22, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
SECCOMP_MODE_FILTER = 2
SECURE_NOROOT_LOCKED = 0x3
FS_FILE_RIGHTS = 0x1 | 0x2 | 0x4 | 0x4000 | 0x8000  # execute, write, read, truncate, ioctl on devices
LIMITS = {name: getattr(resource, "RLIMIT_" + name) for name in ("DATA", "NPROC", "FSIZE", "NOFILE", "CORE")}
POLL_MS = 500
CANNOT_EXECUTE, NOT_FOUND = 126, 127  # what shells answer
SANDBOX_FAILED = 125  # what the container engine's own client answers

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    """Raise unless a libc call answered zero or more: a half-sealed command must not start."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, what + ": " + os.strerror(number))
    return result


def prctl(option, argument=0, third=0):
    must(
        libc.prctl(
            ctypes.c_int(option),
            ctypes.c_ulong(argument),
            third if third else ctypes.c_ulong(0),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
        ),
        f"prctl {option}",
    )


def syscall(number, *arguments):
    return must(libc.syscall(ctypes.c_long(number), *arguments), f"syscall {number}")


# --- sealing: in the child, in this order -----------------------------------------------------------------------


def restrict_files_and_ports(rules):
    """Landlock: only the listed paths and TCP ports, for this process and all that come from it."""

    class Attributes(ctypes.Structure):
        _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]

    class Beneath(ctypes.Structure):
        _pack_ = 1
        _fields_ = [("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32)]

    class Port(ctypes.Structure):
        _fields_ = [("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64)]

    attributes = Attributes(rules["handled_fs"], rules["handled_net"], rules["scoped"])
    size = ctypes.c_size_t(rules["attribute_size"])
    ruleset = syscall(SYS_LANDLOCK_CREATE, ctypes.byref(attributes), size, ctypes.c_uint32(0))
    for path, rights in rules["paths"]:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # what is not there needs no right
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            rights &= FS_FILE_RIGHTS
        rule = Beneath(rights & rules["handled_fs"], descriptor)
        syscall(SYS_LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0))
        os.close(descriptor)
    for port in rules["ports"]:
        lent = Port(rules["handled_net"], port)
        syscall(SYS_LANDLOCK_ADD, ctypes.c_int(ruleset), ctypes.c_int(2), ctypes.byref(lent), ctypes.c_uint32(0))
    syscall(SYS_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def give_up_privileges(uid, gid):
    """Become ``uid``; as root without a leased uid, stay uid 0 with no capability, for good."""
    if os.geteuid() == 0:
        with open("/proc/sys/kernel/cap_last_cap") as stream:
            last = int(stream.read())
        for capability in range(last + 1):
            if capability not in (6, 7, 8):  # SETGID, SETUID, SETPCAP are needed to go on
                prctl(PR_CAPBSET_DROP, capability)
        prctl(PR_SET_SECUREBITS, SECURE_NOROOT_LOCKED)
        for capability in (6, 7, 8):
            prctl(PR_CAPBSET_DROP, capability)
        if uid is not None:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    empty = (ctypes.c_uint32 * 6)()
    must(libc.capset(header, empty), "capset")


def filter_system_calls(program):
    """Install the prepared BPF program."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(program) // 8, program)))


def reset_signals():
    """Default dispositions and an empty mask: an inherited SIG_IGN would break ^C and SIGPIPE in the command."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError as error:
                if error.errno != 22:  # EINVAL: reserved by the C library
                    raise
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def seal_and_become(plan, status):
    """Apply the plan's limits and walls to this very process, then exec its command. Never returns."""
    seal = plan["seal"]
    try:
        os.set_inheritable(status, False)
        os.setsid()
        if plan["terminal"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for name, value in seal["limits"].items():
            hard = resource.getrlimit(LIMITS[name])[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(LIMITS[name], (value, value))
        os.umask(0o022)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if seal["drop_privileges"]:
            give_up_privileges(seal["uid"], seal["gid"])
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of credentials clears it
        os.chdir(plan["cwd"])
        if seal["landlock"]:
            restrict_files_and_ports(seal["landlock"])
        if seal["seccomp"]:
            filter_system_calls(bytes.fromhex(seal["seccomp"]))
        os.closerange(3, status)
        os.closerange(status + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        reset_signals()
        os.write(status, b"sealed\n")
    except (OSError, ValueError, KeyError, TypeError) as error:
        os.write(status, f"failed {error}\n".encode())
        os._exit(CANNOT_EXECUTE)
    become(plan["argv"], plan["environment"])


def become(argv, environment):
    """exec, looking the program up on the command's own PATH; what cannot be started answers as in a shell."""
    code, why = NOT_FOUND, "No such file or directory"
    places = [""] if "/" in argv[0] else environment.get("PATH", os.defpath).split(":")
    for place in places:
        try:
            os.execve(os.path.join(place, argv[0]), argv, environment)  # noqa: S606 — what we are for
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            code, why = CANNOT_EXECUTE, getattr(error, "strerror", None) or str(error)
    os.write(2, f"moorage: cannot run {argv[0]}: {why}\n".encode(errors="replace"))
    os._exit(code)


# --- supervising ------------------------------------------------------------------------------------------------


def start(plan, status):
    """Fork the child: into its cgroups, then sealed here, or into bubblewrap, which runs ``seal`` inside."""
    me = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != me:
            os._exit(CANNOT_EXECUTE)
        if plan["stdin"] is not None:
            os.dup2(in_memory(bytes.fromhex(plan["stdin"])), 0)
        for group in plan["cgroups"]:
            with open(os.path.join(group, "cgroup.procs"), "w") as members:
                members.write("0")
        if plan["wrapper"]:
            hand_over(plan["line"], status)
            reset_signals()
            os.execve(plan["wrapper"][0], plan["wrapper"], {})  # noqa: S606 — bubblewrap
    except OSError as error:
        os.write(status, f"failed {error}\n".encode())
        os._exit(CANNOT_EXECUTE)
    seal_and_become(plan["inner"], status)
    return 0


def in_memory(content):
    """A descriptor from which ``content`` can be read."""
    descriptor = os.memfd_create("moorage")
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def hand_over(line, status):
    """Leave exactly two descriptors to the wrapper: the plan on 8 and the status pipe on 9."""
    plan = in_memory(line)
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20) for descriptor in (plan, status)]
    os.dup2(high[0], 8)
    os.dup2(high[1], 9)
    os.closerange(3, 8)
    os.closerange(10, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def descendants(ancestor):
    """All processes beneath ``ancestor``; a subreaper's orphans are its children, so none is missed for long."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    family, grew = {ancestor}, True
    while grew:
        kin = {pid for pid, parent in parents.items() if parent in family} - family
        family |= kin
        grew = bool(kin)
    return family - {ancestor}


def signal_all(number):
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def end_everything(child):
    """Kill until no child is left: stop first, so that a fork bomb stands still. Returns the child's wait status."""
    verdict = None
    while True:
        verdict = reap(child, verdict)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return verdict
        signal_all(signal.SIGSTOP)
        signal_all(signal.SIGKILL)
        time.sleep(0.002)


def reap(child, verdict):
    """Collect what has ended; the child's own wait status, once known."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return verdict
        if pid == 0:
            return verdict
        if pid == child:
            verdict = status


def supervise(plan, status, control=None, lock=None):
    """Run the plan to its end and leave no process behind. Returns the command's exit code, as in a shell."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getppid()
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    asked_to_end = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.append(True))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = start(plan, status)
    silence = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    os.chdir("/")
    verdict, watched = None, [wake_read] + ([control] if plan["hold"] else [])
    while verdict is None and not asked_to_end and os.getppid() == parent and not (lock and is_free(lock)):
        ready = select.select(watched, [], [], POLL_MS / 1000)[0]
        if control in ready and not os.read(control, 1):
            break
        if wake_read in ready:
            os.read(wake_read, 4096)
        verdict = reap(child, verdict)
    ended = end_everything(child)
    verdict = ended if verdict is None else verdict
    code = os.waitstatus_to_exitcode(verdict) if verdict is not None else -signal.SIGKILL
    return code if code >= 0 else 128 - code


def read_line(descriptor):
    """The plan: one line, after which nothing comes but the end of the stream."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            raise EOFError("the plan ended early")
        line += piece
    return bytes(line)


class Defaults:
    """How json reads by default."""

    strict, object_hook, object_pairs_hook = True, None, None
    parse_float, parse_int, parse_constant = float, int, None


def plan_of(line):
    """The plan of a line of JSON, and the line itself, to be handed on. In a Python of other insides json reads it."""
    try:
        from _json import make_scanner

        plan, _end = make_scanner(Defaults)(line.decode(), 0)  # type: ignore[arg-type]  # so says its stub
    except (ImportError, AttributeError, TypeError):
        import json

        plan = json.loads(line)
    return {**plan, "line": line}


def attend():
    """Supervise on standard input; what goes wrong before the command starts is said on standard error, code 125."""
    control, errors = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in (0, 2))
    said, status = os.pipe2(os.O_CLOEXEC)
    code = supervise(plan_of(read_line(control)), status, control=control)
    os.close(status)
    with os.fdopen(said, "rb") as stream:
        words = stream.read()
    if not words.startswith(b"sealed"):
        os.write(errors, b"moorage: " + words)
        return SANDBOX_FAILED
    return code


def on_terminal(lock_path):
    """Supervise on the terminal that we were started on; ends when the lock's holder outside ends."""
    plan = plan_of(os.environb[b"MOORAGE_PLAN"])
    lock = os.open(lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # giving up the terminal hangs up on us
    fcntl.ioctl(0, termios.TIOCNOTTY)
    return supervise(plan, os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC), lock=lock)


def is_free(lock):
    """Whether nobody holds the lock any more."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(arguments):
    if arguments[0] == "seal":
        with os.fdopen(int(arguments[1]), "rb") as stream:
            plan = plan_of(stream.read())
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        seal_and_become(plan["inner"], int(arguments[2]))
        return
    if arguments[0] == "terminal":
        sys.exit(on_terminal(arguments[2]))
    if arguments[0] == "attend":
        sys.exit(attend())
    os.setsid()
    control, status = int(arguments[2]), int(arguments[3])
    code = supervise(plan_of(read_line(control)), status, control=control)
    try:  # noqa: SIM105 - contextlib would be one more to load
        os.write(status, b"exit %d\n" % code)
    except BrokenPipeError:
        pass  # a terminal's status has no reader: this process is waited for
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
