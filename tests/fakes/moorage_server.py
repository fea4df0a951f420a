"""A small real HTTP server that speaks the part of Moorage's contract that the client uses.

Its world is plain dictionaries. Tests move operations along with :meth:`MoorageServer.move` and say what is to
go wrong: a page size, an event stream that is missing or breaks, connections that are cut.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "moor_test"
ENDED = ("succeeded", "failed", "cancelled")


class MoorageServer:
    """The world, and how it misbehaves."""

    def __init__(self) -> None:
        self.collections: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("projects", "operations", "agents", "templates", "hosts", "queues")
        }
        self.steps: dict[str, list[dict[str, Any]]] = {}
        self.journal: dict[str, list[dict[str, Any]]] = {}
        self.documents: dict[str, Any] = {}  # answers of other GET paths: JSON, or text
        self.problems: dict[tuple[str, str], tuple[int, Any]] = {}  # (method, path): status and body
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.streamed_after: list[str] = []
        self.statuses: list[int] = []
        self.page_size = 50
        self.stream = "works"  # or "missing", "breaks" (at once), "cut" (after each message)
        self.next_host = ""  # what the links to next pages claim to be
        self.cut_answers = 0  # so many POSTs are carried out, and their connection cut
        self.away = False
        self.turned_away = 0
        self.moved = threading.Condition()
        self._keys: dict[str, dict[str, Any]] = {}
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.world = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @contextmanager
    def running(self) -> Iterator[MoorageServer]:
        self._thread.start()
        try:
            yield self
        finally:
            self.away = True
            with self.moved:
                self.moved.notify_all()
            self._http.shutdown()
            self._http.server_close()

    def add(self, collection: str, **fields: Any) -> dict[str, Any]:
        entry = {"id": str(uuid.uuid4()), "created_at": "2026-05-01T08:00:00+00:00", **fields}
        self.collections[collection].insert(0, entry)
        return entry

    def add_operation(self, **fields: Any) -> dict[str, Any]:
        state = {
            "status": "queued",
            "stage": "init",
            "progress": 0.0,
            "blocked_by": [],
            "queue_position": None,
        }
        rest = {"engine": {"kind": "patch", "label": "Deterministic change"}, "error": None, "result": None}
        operation = self.add("operations", **{**state, **rest, **fields})
        self.steps[operation["id"]] = []
        self.journal[operation["id"]] = []
        return operation

    def move(self, operation: dict[str, Any], *, step: dict[str, Any] | None = None, **changes: Any) -> None:
        """Change an operation, add a finished step, and tell everyone."""
        with self.moved:
            operation.update(changes)
            if step:
                steps = self.steps[operation["id"]]
                steps.append({"id": len(steps) + 1, "attempt": 1, "fault": None, "product": {}, **step})
            journal = self.journal[operation["id"]]
            journal.append(
                {
                    "type": "agent_operation",
                    "topic": f"operation.{operation['id']}",
                    "seq": len(journal) + 1,
                    "timestamp": "2026-05-01T08:00:00+00:00",
                    "payload": {
                        "kind": "operation.stage_finished",
                        "operation": {"id": operation["id"], **changes},
                    },
                }
            )
            self.moved.notify_all()

    def watched(self) -> bool:
        """Whether someone has read an operation's state and asked for its steps."""
        return any("/steps/" in path for _, path, _, _ in self.requests)

    def answered_with(self, status: int) -> bool:
        return status in self.statuses

    def find(self, collection: str, identity: str) -> dict[str, Any] | None:
        return next((entry for entry in self.collections[collection] if entry["id"] == identity), None)

    def submitted(self, body: dict[str, Any], key: str) -> dict[str, Any]:
        """A new operation, or the one that the same key made before."""
        if key and key in self._keys:
            return self._keys[key]
        operation = self.add_operation(project_id=body.get("project_id"), title=body.get("requirements"))
        if key:
            self._keys[key] = operation
        return operation


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    world: MoorageServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_arguments: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        world = self.server.world
        if world.away:
            world.turned_away += 1
            return None  # the connection closes without an answer
        split = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else None
        world.requests.append((method, self.path, dict(self.headers.items()), body))
        path = split.path.removeprefix("/api/v1/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._problem(401, "request.authentication_failed", "The token is unknown, expired or revoked.")
        if (method, path) in world.problems:
            return self._answer(*world.problems[method, path])
        if method == "GET":
            return self._get(path)
        answer = self._change(method, path, body or {})
        if method == "POST" and world.cut_answers > 0:
            world.cut_answers -= 1
            self.close_connection = True
        elif answer is not None:
            self._answer(*answer)
        return None

    def _get(self, path: str) -> None:
        world = self.server.world
        if path in world.documents:
            return self._answer(200, world.documents[path])
        if path == "events/stream":
            return self._stream()
        collection, _, rest = path.partition("/")
        identity, _, part = rest.partition("/")
        if collection not in world.collections:
            return self._not_found(path)
        if not identity:
            return self._page(world.collections[collection])
        entry = world.find(collection, identity)
        if entry is None:
            return self._not_found(path)
        if part == "steps/":
            return self._page(world.steps[identity])
        if part == "diff/":
            nothing = {"files": [], "insertions": 0, "deletions": 0, "truncated": False, "text": ""}
            return self._answer(200, nothing)
        if part:
            return self._not_found(path)
        if "wait" in self.query:
            with world.moved:
                world.moved.wait(timeout=min(1.0, float(self.query["wait"])))
        return self._answer(200, entry)

    def _change(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any] | None:
        world = self.server.world
        collection, identity, *verb = [*path.strip("/").split("/"), ""]
        if method == "POST" and collection == "operations" and not identity:
            return 202, world.submitted(body, self.headers.get("Idempotency-Key", ""))
        if method == "POST" and not identity:
            return 201, world.add(collection, **body)
        entry = world.find(collection, identity)
        if entry is None:
            self._not_found(path)
            return None
        if method == "DELETE":
            world.collections[collection].remove(entry)
            return 204, None
        if method == "PATCH":
            entry.update(body)
        elif verb[0] == "cancel":
            world.move(entry, status="cancelled")
        return 200 if method == "PATCH" else 202, entry

    def _page(self, entries: list[dict[str, Any]]) -> None:
        start = int(self.query.get("cursor", 0))
        size = min(int(self.query.get("page_size", 50)), self.server.world.page_size)
        following = None
        if start + size < len(entries):
            host = self.server.world.next_host or self.server.world.url
            following = f"{host}{urlsplit(self.path).path}?cursor={start + size}&page_size={size}"
        self._answer(200, {"next": following, "previous": None, "results": entries[start : start + size]})

    def _stream(self) -> None:
        world = self.server.world
        if world.stream == "missing":
            return self._not_found("events/stream")
        topic, _, after = self.query["after"].rpartition(":")
        world.streamed_after.append(after)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"retry: 1000\n\n: hello\n\n")
        seq, journal = int(after), world.journal[topic.partition(".")[2]]
        while world.stream != "breaks" and not world.away:
            with world.moved:
                if len(journal) == seq:
                    world.moved.wait(timeout=0.5)
            for message in journal[seq:]:
                # Not escaped: U+2028 and U+0085 stand in the line as they are.
                self.wfile.write(f"id: x\ndata: {json.dumps(message, ensure_ascii=False)}\n\n".encode())
                seq += 1
                if world.stream == "cut":
                    return None
        return None

    def _not_found(self, path: str) -> None:
        self._problem(404, "request.not_found", f"There is nothing at {path}.")

    def _problem(self, status: int, code: str, detail: str) -> None:
        self._answer(status, {"code": code, "detail": detail, "request_id": "r-1", "errors": []})

    def _answer(self, status: int, body: Any) -> None:
        is_text = isinstance(body, str)
        content = b"" if body is None else body.encode() if is_text else json.dumps(body).encode()
        self.server.world.statuses.append(status)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; a test that waits for ever fails by what it asserts next."""
    deadline = time.monotonic() + 50
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def once(condition: Callable[[], object], action: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a condition holds, in a thread."""

    def run() -> None:
        wait_until(condition)
        action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
