"""Keeps the side services of a berth running, or lets one command reach them. Runs inside the berth.

    python3 -I -S -B -c <this file> serve PLAN                        until it is ended, and all services with it
    python3 -I -S -B -c <this file> reach PLAN PROGRAM [ARGUMENT…]    becomes the program

Standard library only; the host believes nothing of what it writes. PLAN is JSON: ``place`` is a directory of the
workspace for logs, ``state.json`` and sockets, ``run`` names this run in the state, ``services`` are in the order in
which they start, ``relay`` says that commands have a network of their own: then each port is also a unix socket in
``place``, and ``reach`` makes it a port again.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

LOG_BYTES = 1 << 20
PAUSE_S = 0.05
CHECK_S = 10.0  # one check may take
HEALTH_S = 10.0  # between two checks of one that is ready
FAILURES = 3  # in a row, until it is taken for dead
RESTARTS = 5  # until one that dies again and again is given up
SETTLED_S = 300.0  # after that long a service has earned its restarts anew
STOP_S = 5.0
CHUNK = 1 << 16
CANNOT_SERVE, NOT_FOUND = 125, 127


class NotReady(Exception):
    """A service that cannot be used; the argument says why."""


class State:
    """What the host shows of us; each change replaces the file."""

    def __init__(self, place, run):
        self.path, self.run, self.services = os.path.join(place, "state.json"), run, {}

    def say(self, name, phase, **more):
        self.services[name] = {"phase": phase, **more}
        try:
            with open(self.path + ".new", "w", encoding="utf-8") as file:
                json.dump({"run": self.run, "services": self.services}, file)
            os.replace(self.path + ".new", self.path)
        except OSError:  # no room left: the services go on
            return


class Service:
    """One of them: started, checked, started again."""

    process: subprocess.Popen[bytes]  # once started
    words: threading.Thread  # that keeps what it says

    def __init__(self, said, place, state):
        self.said, self.name, self.state = said, said["name"], state
        self.log = os.path.join(place, self.name + ".log")
        self.started, self.restarts, self.failures, self.checked_at, self.ready_since = False, 0, 0, 0.0, 0.0

    def start(self, **more):
        """Start it and wait until it can be used. Raises NotReady."""
        self.state.say(self.name, "starting", restarts=self.restarts, **more)
        began = time.monotonic()
        try:
            self.process = subprocess.Popen(
                self.said["command"], env={**os.environ, **self.said["environment"]}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotReady(f"{self.said['command'][0]} cannot be started: {error.strerror}") from error
        self.started = True
        self.words = threading.Thread(target=keep, args=(self.process.stdout, self.log), daemon=True)
        self.words.start()
        self.wait()
        self.checked_at, self.failures = time.monotonic(), 0
        self.ready_since = self.checked_at
        seconds = round(self.checked_at - began, 1)
        self.state.say(self.name, "ready", seconds=seconds, restarts=self.restarts, **more)

    def wait(self):
        until = time.monotonic() + self.said["ready_timeout_s"]
        while not self.usable(max(until - time.monotonic(), 0.1)):
            if self.process.poll() is not None:
                raise NotReady(f"it ended with exit code {self.process.returncode} before it was ready")
            if time.monotonic() > until:
                raise NotReady(f"it was not ready within {self.said['ready_timeout_s']} s")
            time.sleep(PAUSE_S)
        if self.process.poll() is not None:
            raise NotReady(f"it ended with exit code {self.process.returncode}; something else answers in its place")

    def usable(self, within_s):
        """By its own check; else by its port; else it is enough that it runs."""
        if self.said["ready"]:
            return self.succeeds(min(CHECK_S, within_s))
        return self.said["port"] is None or self.listens()

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.said["port"]), timeout=1).close()
        except OSError:
            return False
        return True

    def succeeds(self, within_s):
        try:
            check = subprocess.Popen(
                self.said["ready"], env={**os.environ, **self.said["environment"]}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotReady(f"its check {self.said['ready'][0]} cannot be started: {error.strerror}") from error
        try:
            return check.wait(timeout=within_s) == 0
        except subprocess.TimeoutExpired:
            end(check, signal.SIGKILL)
            check.wait()
            return False

    def trouble(self):
        """Why it has to be started again; empty while all is well. A port is asked rather than a check: it is cheap."""
        if self.process.poll() is not None:
            return f"it ended with exit code {self.process.returncode}"
        now = time.monotonic()
        if now - self.checked_at < HEALTH_S:
            return ""
        self.checked_at = now
        well = self.listens() if self.said["port"] is not None else self.usable(CHECK_S)
        self.failures = 0 if well else self.failures + 1
        return f"it did not answer {self.failures} times in a row" if self.failures >= FAILURES else ""

    def restart(self, why):
        """Raises NotReady where it has died too often, or does not come back."""
        self.stop()
        if time.monotonic() - self.ready_since > SETTLED_S:
            self.restarts = 0
        self.restarts += 1
        if self.restarts > RESTARTS:
            raise NotReady(f"{why}, after {RESTARTS} restarts")
        self.start(why=why)

    def stop(self):
        if not self.started:
            return
        end(self.process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=STOP_S)
        end(self.process, signal.SIGKILL)
        self.process.wait()
        self.words.join(STOP_S)


def serve(plan):
    """Start, watch, start again. Returns only when one cannot be had: then none is left."""
    place = plan["place"]
    os.makedirs(place, exist_ok=True)
    state = State(place, plan["run"])
    services = [Service(said, place, state) for said in plan["services"]]
    current = services[0]
    try:
        for service in services:
            current = service
            current.start()
            if plan["relay"] and current.said["port"] is not None:
                offer(place, current.said["port"])
        while True:
            for service in services:
                current = service
                if why := current.trouble():
                    current.restart(why)
            time.sleep(PAUSE_S * 4)
    except NotReady as problem:
        current.stop()  # what it said last is in its log then
        state.say(current.name, "failed", why=str(problem), restarts=current.restarts)
        return CANNOT_SERVE
    finally:
        for service in reversed(services):
            service.stop()


def keep(stream, path):
    """What a service says, in a bounded log."""
    with open(path, "ab", buffering=0) as log:
        while chunk := os.read(stream.fileno(), CHUNK):
            try:
                if log.tell() + len(chunk) > LOG_BYTES:
                    log.truncate(0)
                log.write(chunk)
            except OSError:  # no room left: the service goes on, its words are lost
                continue


def offer(place, port):
    """A unix socket that leads to a port of ours. By a relative name: the whole path may be too long for a socket."""
    os.chdir(place)
    name = f"{port}.sock"
    if os.path.lexists(name):
        os.unlink(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen(64)
    accept_on(listener, lambda: socket.create_connection(("127.0.0.1", port)))


def reach(plan, argv):
    """Offer each port of the services here, by a process of its own, and become the program."""
    listeners = {}
    for service in plan["services"]:
        if service["port"] is not None:
            listeners[service["port"]] = socket.create_server(("127.0.0.1", service["port"]))
    if listeners and not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)  # so that it is nobody's child: the program must not wait for it
        carry(plan["place"], listeners)
    for listener in listeners.values():
        listener.close()
    if listeners:
        os.wait()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores them, and exec would keep that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 — what we are for
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_FOUND - 1


def carry(place, listeners):
    """Relay until the command's tree is ended."""
    try:
        os.chdir(place)
        silence = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        for port, listener in listeners.items():
            accept_on(listener, lambda port=port: dialled(f"{port}.sock"))
        signal.pause()
    finally:
        os._exit(0)


def dialled(name):
    made = socket.socket(socket.AF_UNIX)
    made.connect(name)
    return made


def accept_on(listener, dial):
    """Each connection is joined with one that ``dial`` makes, in threads."""

    def accept():
        while True:
            near, _ = listener.accept()
            try:
                far = dial()
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=copy, args=(one, other), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def copy(source, target):
    """One direction; its end is passed on as a half-close."""
    try:
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end_of_it in (source, target):
            try:
                end_of_it.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def end(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    sys.exit(serve(given) if sys.argv[1] == "serve" else reach(given, sys.argv[3:]))
