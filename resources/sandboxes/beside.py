"""Runs a command with its side services beside it: they start first, and end with it.

    python3 -I -S -B -c <this file> PLAN PROGRAM [ARGUMENT…]

Standard library only; runs inside the berth, so the host believes nothing of what it writes. PLAN is JSON: ``place``
is a directory of the workspace for logs and ``state.json``, ``services`` are in the order in which they start. They
live as long as this process: whoever ends its tree ends them, which is how a berth is cleared and a late command
stopped. One command at a time has the services; the next waits for the lock.
"""

import contextlib
import fcntl
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
CHECK_S = 10.0
STOP_S = 5.0
LAST_WORDS_S = 1.0
TIME_UP, CANNOT_SERVE, CANNOT_START = 124, 125, 127


class NotReady(Exception):
    """A service that cannot be used; the argument says why."""


def main(plan, argv):
    """Start, run, stop; the command's exit code, 125 when a service is not ready, 124 when the command's time is up."""
    place = plan["place"]
    os.makedirs(place, exist_ok=True)
    state = State(os.path.join(place, "state.json"))
    lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    running = []
    try:
        take(lock, within_s=sum(service["ready_timeout_s"] for service in plan["services"]))
        for service in plan["services"]:
            state.say(service["name"], "starting")
            began = time.monotonic()
            running.append(start(service, place))
            wait(running[-1][0], service)
            state.say(service["name"], "ready", seconds=round(time.monotonic() - began, 1))
        return run(argv, within_s=plan["timeout_s"])
    except NotReady as problem:
        state.say(service_of(running, plan), "failed", why=str(problem))
        return CANNOT_SERVE
    finally:
        for process, log in reversed(running):
            stop(process)
            log.join(LAST_WORDS_S)


def service_of(running, plan):
    """The name of the service that is started now."""
    return plan["services"][max(len(running) - 1, 0)]["name"]


class State:
    """What the host shows of us; each change replaces the file."""

    def __init__(self, path):
        self.path, self.services = path, {}
        self.write()

    def say(self, name, phase, **more):
        self.services[name] = {"phase": phase, **more}
        self.write()

    def write(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.services, file)
        os.replace(self.path + ".new", self.path)


def take(lock, *, within_s):
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise NotReady("another command of this berth has the services") from None
            time.sleep(PAUSE_S)


def start(service, place):
    """The service in a session of its own, and the thread that keeps its output in a bounded log."""
    try:
        process = subprocess.Popen(
            service["command"], env={**os.environ, **service["environment"]}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise NotReady(f"{service['command'][0]} cannot be started: {error.strerror}") from error
    path = os.path.join(place, service["name"] + ".log")
    log = threading.Thread(target=keep, args=(process.stdout, path), daemon=True)
    log.start()
    return process, log


def keep(stream, path):
    with open(path, "wb", buffering=0) as log:
        while chunk := os.read(stream.fileno(), 1 << 16):
            if log.tell() + len(chunk) > LOG_BYTES:
                log.seek(0)
                log.truncate()
            try:
                log.write(chunk)
            except OSError:  # no room left: the service goes on, its words are lost
                continue


def wait(process, service):
    """Return once the service can be used."""
    until = time.monotonic() + service["ready_timeout_s"]
    while not usable(service, until):
        if process.poll() is not None:
            raise NotReady(f"it ended with exit code {process.returncode} before it was ready")
        if time.monotonic() > until:
            raise NotReady(f"it was not ready within {service['ready_timeout_s']} s")
        time.sleep(PAUSE_S)
    if process.poll() is not None:
        raise NotReady(f"it ended with exit code {process.returncode}; something else answers in its place")


def usable(service, until):
    if service["ready"]:
        return succeeds(service, within_s=min(CHECK_S, max(until - time.monotonic(), 0.1)))
    if service["port"] is None:
        return True
    try:
        socket.create_connection(("127.0.0.1", service["port"]), timeout=1).close()
    except OSError:
        return False
    return True


def succeeds(service, *, within_s):
    try:
        check = subprocess.Popen(
            service["ready"], env={**os.environ, **service["environment"]}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise NotReady(f"its check {service['ready'][0]} cannot be started: {error.strerror}") from error
    try:
        return check.wait(timeout=within_s) == 0
    except subprocess.TimeoutExpired:
        end(check, signal.SIGKILL)
        check.wait()
        return False


def run(argv, *, within_s):
    try:
        process = subprocess.Popen(argv)
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        return CANNOT_START
    try:
        code = process.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        return TIME_UP  # what is left of it ends with us
    return code if code >= 0 else 128 - code


def stop(process):
    end(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_S)
    end(process, signal.SIGKILL)
    process.wait()


def end(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
