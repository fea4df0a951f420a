"""From a loopback port inside a berth to the egress proxy's unix socket. Runs inside: standard library only.

    bridge.py SOCKET PROGRAM [ARGUMENT…]

Most clients speak to a TCP proxy only. So this listens on a free port of the berth's own loopback, tells the program
about it by the usual variables, and becomes the program. The carrier is a process of its own that no ``wait`` of the
program sees; it ends with the program's tree. It decides nothing: the proxy outside does.

With MOORAGE_GATEWAY it also opens a door: a second port whose every connection is a tunnel to that one host, for
programs that know of no proxy. Wherever its address stands in the program's arguments and variables, the door's takes
its place; and a program that asks the proxy for the door, since it knows of no NO_PROXY, is led there too.
"""

import contextlib
import errno
import os
import selectors
import signal
import socket
import sys
import time

CHUNK = 1 << 16
CONNECTIONS = 64
PATIENCE_S = 10.0  # how long a connection waits for a proxy that is being restarted
RETRY_S = 0.1
CANNOT_EXECUTE, NOT_FOUND = 126, 127  # what shells answer
NO_PROXY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TO_THE_PROXY = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "npm_config_proxy", "npm_config_https_proxy",
)  # fmt: skip


DOOR = "MOORAGE_GATEWAY"  # the variable with the address, http://host, that the door leads to


class Direction:
    """Bytes from one socket to another; reads no further than it could write. ``change`` is given what comes first."""

    def __init__(self, source, sink, change=None):
        self.source, self.sink, self.change = source, sink, change
        self.held = b""
        self.ended = self.over = False

    def read(self):
        self.held = self.source.recv(CHUNK)
        self.ended = not self.held
        if self.change is not None:
            self.held, self.change = self.change(self.held), None
        self.write()

    def write(self):
        if self.held:
            try:
                self.held = self.held[self.sink.send(self.held) :]
            except BlockingIOError:
                return
        if self.ended and not self.held and not self.over:
            self.over = True
            self.sink.shutdown(socket.SHUT_WR)


class Carried:
    """One connection of a client inside and its other half to the proxy."""

    def __init__(self, client, proxy, door, through_door):
        self.sockets = (client, proxy)
        if through_door:
            self.directions = (Direction(client, proxy), Direction(proxy, client, door.answered))
            self.directions[0].held = door.request
        else:
            self.directions = (Direction(client, proxy, door and door.led), Direction(proxy, client))

    def interest(self, one):
        wanted = 0
        for direction in self.directions:
            if direction.source is one and not direction.ended and not direction.held:
                wanted |= selectors.EVENT_READ
            if direction.sink is one and direction.held:
                wanted |= selectors.EVENT_WRITE
        return wanted

    def ready(self, one, mask):
        for direction in self.directions:
            if direction.sink is one and mask & selectors.EVENT_WRITE:
                direction.write()
            if direction.source is one and mask & selectors.EVENT_READ and not direction.ended and not direction.held:
                direction.read()

    @property
    def over(self):
        return all(direction.over for direction in self.directions)


class Door:
    """A port that is one host."""

    def __init__(self, listener, address):
        self.listener = listener
        self.host = address.partition("://")[2].encode() + b":80"
        self.place = b"127.0.0.1:%d" % listener.getsockname()[1]
        self.request = b"CONNECT %s HTTP/1.1\r\n\r\n" % self.host

    def led(self, head):
        """What a client asks of the proxy, with the host in the door's place."""
        first, end, rest = head.partition(b"\r\n\r\n")
        return first.replace(self.place, self.host) + end + rest

    def answered(self, head):
        """The proxy's answer without its word that the tunnel stands; a refusal as it is.

        The word comes in one piece: the proxy writes nothing before it, and the server speaks only when spoken to.
        """
        first, end, rest = head.partition(b"\r\n\r\n")
        return rest if end and first.startswith(b"HTTP/1.1 200 ") else head


class Carrier:
    """All connections, in one thread."""

    def __init__(self, listener, path, door=None):
        self.path, self.door = path, door
        self.selector = selectors.DefaultSelector()
        self.carried = set()
        self.waiting = []  # (client, through the door?, until) that have no proxy yet
        for one in (listener, door.listener) if door else (listener,):
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ, None)

    def run(self):
        while True:
            for key, mask in self.selector.select(RETRY_S if self.waiting else None):
                if key.data is None:
                    self.accept(key.fileobj)
                elif key.data in self.carried:
                    self.move(key.data, key.fileobj, mask)
            for client, through_door, until in self.take_waiting():
                self.pair(client, through_door, until)

    def accept(self, listener):
        try:
            client, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(RETRY_S)
            return
        if len(self.carried) + len(self.waiting) >= CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        through_door = self.door is not None and listener is self.door.listener
        self.pair(client, through_door, time.monotonic() + PATIENCE_S)

    def take_waiting(self):
        waiting, self.waiting = self.waiting, []
        return waiting

    def pair(self, client, through_door, until):
        proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        proxy.setblocking(False)
        try:
            proxy.connect(self.path)
        except OSError:
            proxy.close()
            if time.monotonic() < until:
                self.waiting.append((client, through_door, until))
            else:
                self.refuse(client)
            return
        both = Carried(client, proxy, self.door, through_door)
        self.carried.add(both)
        for one in both.sockets:
            self.watch(one, both)

    def refuse(self, client):
        with contextlib.suppress(ConnectionError, BlockingIOError):  # gone, or not reading: nobody to tell
            client.send(NO_PROXY)
        client.close()

    def move(self, both, one, mask):
        try:
            both.ready(one, mask)
        except OSError:
            self.drop(both)
            return
        if both.over:
            self.drop(both)
            return
        for each in both.sockets:
            self.watch(each, both)

    def watch(self, one, both):
        wanted = both.interest(one)
        registered = one in self.selector.get_map()
        if wanted and registered:
            self.selector.modify(one, wanted, both)
        elif wanted:
            self.selector.register(one, wanted, both)
        elif registered:
            self.selector.unregister(one)

    def drop(self, both):
        self.carried.discard(both)
        for one in both.sockets:
            if one in self.selector.get_map():
                self.selector.unregister(one)
            one.close()


def listening():
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(CONNECTIONS)
    return listener


def start_carrier(path, behind):
    """The ports on which a carrier of its own now listens: for the proxy, and for the door where one is wanted."""
    listener = listening()
    door = Door(listening(), behind) if behind else None
    child = os.fork()
    if not child:
        os.setsid()
        if os.fork():
            os._exit(0)  # so that the carrier is nobody's child: the program must not wait for it
        silence = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        try:
            Carrier(listener, path, door).run()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    listeners = [listener, door.listener] if door else [listener]
    ports = [one.getsockname()[1] for one in listeners]
    for one in listeners:
        one.close()
    return ports


def become(argv, environment):
    """exec on the program's own PATH; what cannot be started answers as in a shell."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores them, and exec would keep that
        signal.signal(number, signal.SIG_DFL)
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


def main(arguments):
    path, argv = arguments[0], arguments[1:]
    environment = dict(os.environ)
    behind = environment.get(DOOR, "")
    try:
        port, *doors = start_carrier(path, behind)
    except OSError as error:
        os.write(2, f"moorage: no way to the egress proxy: {error.strerror}\n".encode())
    else:
        for door in doors:
            there = f"http://127.0.0.1:{door}"
            argv = [word.replace(behind, there) for word in argv]
            environment = {name: value.replace(behind, there) for name, value in environment.items()}
        environment |= dict.fromkeys(TO_THE_PROXY, f"http://127.0.0.1:{port}")
        environment.setdefault("NO_PROXY", "localhost,127.0.0.1,::1")
        environment.setdefault("no_proxy", environment["NO_PROXY"])
        environment.setdefault("NODE_USE_ENV_PROXY", "1")
    become(argv, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
