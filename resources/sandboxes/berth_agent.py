"""The agent of one berth: runs commands, dials ports and counts, for the host and for nobody else.

    python3 -I -S -B berth_agent.py DOOR    as the first process of a container; listens on DOOR/agent.sock

Standard library only; its one neighbour is ``launcher.py``, mounted beside it, which seals and supervises commands in
every tier. It is the first process of the berth's process namespace on purpose: what runs inside can neither signal
nor stop nor trace it, and whatever loses its supervisor becomes its child and is killed.

It serves a peer of another process namespace only, so not those who live in the berth. Each connection is one job in
a process of its own and carries one request; the frames are described in docs/sandbox-agent.md. The command's streams
are descriptors that came with the request: no byte of them passes through here.
"""

import _socket
import os
import sys

BACKLOG = 128


def listen(door):
    """The listener at the door, by what Python has built in; returns its descriptor."""
    path = os.path.join(door, "agent.sock")
    if os.path.lexists(path):
        os.unlink(path)  # of the agent before a restart
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    os.umask(0o177)
    listener.bind(path)
    os.umask(0o022)
    listener.listen(BACKLOG)
    return listener.detach()


# Before the imports, which take three times as long as all before them: the host goes on meanwhile.
LISTENER = listen(sys.argv[1]) if __name__ == "__main__" else -1

import importlib.machinery  # noqa: E402
import json  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import time  # noqa: E402
import types  # noqa: E402

VERSION = 1
HELLO, RUN, DIAL, STAT = 0, 1, 2, 3  # the greeting, then what is asked
DONE, FAILED, FIGURES = 16, 17, 18  # what is answered
HEADER = struct.Struct("!IB")  # length of the payload, kind
FIGURE = struct.Struct("!qqq")  # memory in bytes, processes, processor time in nanoseconds; -1 for unknown
REQUEST_BYTES = 8 << 20
WORDS_BYTES = 1000
REQUEST_S = 10
DIAL_S = 5
JOBS = 64  # at one time; more connections are closed at once
RETRY_S = 0.02
CHUNK = 1 << 16
VICTIM = b"300"  # when the berth runs out of memory, its commands go before its agent
PR_SET_DUMPABLE = 4


def load_launcher():
    """The launcher beside this file: isolated mode has no import path to it."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    module = types.ModuleType("launcher")
    importlib.machinery.SourceFileLoader("launcher", place).exec_module(module)
    return module


launcher = load_launcher()


# --- the first process: accepts, forks, reaps; never reads what a peer sends ---------------------------------------


def serve(listening):
    """Accept for ever. Ends on SIGTERM, and with it all that runs in the berth."""
    launcher.prctl(PR_SET_DUMPABLE, 0)  # its memory and descriptors are not for those who live here
    listener = socket.socket(fileno=listening)
    listener.setblocking(False)
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    jobs: set[int] = set()
    orphaned = False
    while True:
        ready = select.select([listener.fileno(), wake_read], [], [], RETRY_S if orphaned else None)[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
            orphaned = reap(jobs) or orphaned
        if orphaned:
            orphaned = end_strangers(jobs)
        if listener.fileno() in ready:
            accept(listener, jobs)


def accept(listener, jobs):
    """One connection, one process; who lives in the berth, and one too many, finds it closed."""
    try:
        connection, _ = listener.accept()
    except OSError:
        time.sleep(0.01)  # out of descriptors, or the peer is gone: the next round sees
        return
    with connection:
        if not from_outside(connection) or len(jobs) >= JOBS:
            return
        try:
            pid = os.fork()
        except OSError as error:  # the berth has no process left
            say(connection, FAILED, str(error))
            return
        if pid:
            jobs.add(pid)
            return
        listener.close()
        run_job(connection)


def from_outside(connection):
    """Whether the peer lives in another process namespace: then the kernel has no number for it here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("iII", credentials)[0] == 0


def reap(jobs):
    """Collect the dead; whether a job did not end by itself, and so may have left something behind."""
    orphaned = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return orphaned
        if pid == 0:
            return orphaned
        orphaned = orphaned or (pid in jobs and os.WIFSIGNALED(status))
        jobs.discard(pid)


def end_strangers(jobs):
    """Kill our children that are no jobs, with all beneath them, which then become ours; whether there were any."""
    strangers = children() - jobs
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for stranger in strangers:
            for pid in (*launcher.descendants(stranger), stranger):
                send(pid, number)
    return bool(strangers)


def children():
    me = str(os.getpid()).encode()
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    if stat.read().rpartition(b")")[2].split()[1] == me:
                        found.add(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


# --- one job, in its own process --------------------------------------------------------------------------------


def run_job(connection):
    """Serve one request, then end this process, whatever happens."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        volunteer_for_the_killer()
        connection.settimeout(REQUEST_S)
        say(connection, HELLO, VERSION.to_bytes(2, "big"))
        kind, payload, descriptors = hear(connection)
        {RUN: run, DIAL: dial, STAT: stat}[kind](connection, payload, descriptors)
        code = 0
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        say(connection, FAILED, f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def volunteer_for_the_killer():
    """Raise our own score, which the command inherits; only who can be traced may write it."""
    launcher.prctl(PR_SET_DUMPABLE, 1)
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(VICTIM)
    launcher.prctl(PR_SET_DUMPABLE, 0)


def say(connection, kind, words):
    """Send one frame; a peer that is gone or does not listen does not matter."""
    payload = words.encode("utf-8", "replace")[:WORDS_BYTES] if isinstance(words, str) else words
    try:
        connection.sendall(HEADER.pack(len(payload), kind) + payload)
    except OSError:
        return


def hear(connection):
    """(kind, payload, descriptors) of the one request."""
    received, descriptors = bytearray(), []
    length = HEADER.size
    while len(received) < length:
        piece, more, flags, _ = socket.recv_fds(connection, CHUNK, 8)
        if not piece or flags & socket.MSG_CTRUNC:
            raise EOFError("the request ended early")
        received += piece
        descriptors += more
        if len(received) >= HEADER.size:
            size, kind = HEADER.unpack_from(received)
            if size > REQUEST_BYTES:
                raise ValueError("the request is too large")
            length = HEADER.size + size
    return kind, bytes(received[HEADER.size : length]), descriptors


def run(connection, payload, descriptors):
    """Supervise one command: ends with it, and kills it as soon as the connection ends.

    The descriptors are (input, output, errors, status), or (terminal, status).
    """
    plan = json.loads(payload)
    *streams, status = descriptors
    if len(streams) not in (1, 3):
        raise ValueError("a command has three streams, or one terminal")
    stdin, stdout, stderr = streams * 3 if len(streams) == 1 else streams
    high = [os.dup(descriptor) for descriptor in (stdin, stdout, stderr)]
    for target, source in enumerate(high):
        os.dup2(source, target)
    for descriptor in {*streams, *high}:
        os.close(descriptor)
    connection.settimeout(None)
    os.setsid()
    try:
        words = f"exit {launcher.supervise(plan, status, control=connection.fileno())}\n"
    except OSError as error:  # the berth has no process left
        words = f"failed {error}\n"
    os.write(status, words.encode())


def stat(connection, _payload, _descriptors):
    """What the whole berth uses, as its own control group and process list show it."""
    processes = len([name for name in os.listdir("/proc") if name.isdigit()]) - 2  # without the agent
    say(connection, FIGURES, FIGURE.pack(memory_bytes(), processes, cpu_ns()))


def memory_bytes():
    return figure("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")


def cpu_ns():
    try:
        with open("/sys/fs/cgroup/cpu.stat") as stream:
            return int(dict(line.split() for line in stream)["usage_usec"]) * 1000
    except (FileNotFoundError, KeyError):
        return figure("/sys/fs/cgroup/cpuacct/cpuacct.usage")


def figure(*places):
    for place in places:
        try:
            with open(place) as stream:
                return int(stream.read())
        except FileNotFoundError:
            continue
    return -1


def dial(connection, payload, descriptors):
    """Join the one descriptor, a stream socket of the host, with a TCP port of the berth's loopback."""
    (outer,) = descriptors
    with socket.socket(fileno=outer) as host, dialled(json.loads(payload)["port"]) as local:
        say(connection, DONE, b"")
        connection.close()
        relay(host, local)


def dialled(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=DIAL_S)
    except ConnectionRefusedError as refused:
        try:
            return socket.create_connection(("::1", port), timeout=DIAL_S)
        except OSError:
            raise refused from None  # most berths have no IPv6 at all, and that is not the point


def relay(host, local):
    """Copy both ways until both have ended."""
    for each in (host, local):
        each.setblocking(False)
    inward, outward = Way(host, local), Way(local, host)
    while inward.open or outward.open:
        poll = select.poll()
        for end in (host, local):
            wanted = inward.wants(end) | outward.wants(end)
            if wanted or (end is host and outward.open):
                poll.register(end, wanted)
        happened = dict(poll.poll())
        if happened.get(host.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            outward.open = False  # nobody is left to read; what was sent before still goes inward
        inward.move()
        outward.move()


class Way:
    """One direction: what was read and is not written yet, at most one chunk."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.held = memoryview(b"")
        self.open = True

    def wants(self, end):
        if not self.open:
            return 0
        if self.held:
            return select.POLLOUT if end is self.target else 0
        return select.POLLIN if end is self.source else 0

    def move(self):
        """Whatever can be moved now; the end of the source is passed on as a half-close."""
        if not self.open:
            return
        try:
            if not self.held:
                self.held = memoryview(self.source.recv(CHUNK))
                if not self.held:
                    self.open = False
                    self.target.shutdown(socket.SHUT_WR)
                    return
            self.held = self.held[self.target.send(self.held) :]
        except BlockingIOError:
            return
        except OSError:
            self.open = False
            shut(self.source)
            shut(self.target)


def shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


if __name__ == "__main__":
    serve(LISTENER)
