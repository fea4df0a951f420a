"""GitHub's REST dialect over http on loopback: a repository, its pull requests, and scripted misfortune."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Misfortune:
    """What happens to the next request of this method: before or after it took effect."""

    method: str
    status: int = 0  # 0: no answer, the connection is closed
    message: str = ""
    after_the_effect: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    body: bytes | None = None  # instead of GitHub's JSON
    path: str = ""  # only requests whose path ends so, before any "?"


class GitHubServer(ThreadingHTTPServer):
    """One forge. ``pulls`` are as GitHub shows them; ``script`` is consumed in order, per method."""

    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.repositories = {"team/app": {"main"}}  # name -> branches
        self.pulls: list[dict[str, Any]] = []
        self.script: list[Misfortune] = []
        self.asked: list[tuple[str, str]] = []
        self.listed_late = 0  # so many listings do not show the newest pull request yet
        self.state = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, method: str) -> int:
        """How often this method was asked."""
        return sum(asked == method for asked, _ in self.asked)

    def add(self, repository: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Open a pull request; the caller holds ``state``."""
        owner = repository.partition("/")[0]
        number = len(self.pulls) + 1
        pull = {
            "number": number,
            "state": "open",
            "title": asked["title"],
            "body": asked.get("body", ""),
            "url": f"{self.url}/repos/{repository}/pulls/{number}",
            "html_url": f"{self.url}/{repository}/pull/{number}",
            "head": {"ref": asked["head"], "label": f"{owner}:{asked['head']}"},
            "base": {"ref": asked["base"], "label": f"{owner}:{asked['base']}"},
        }
        self.pulls.append(pull)
        return pull


@contextmanager
def github_server(token: str) -> Iterator[GitHubServer]:
    """A running forge."""
    server = GitHubServer(token)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: GitHubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_GET(self) -> None:
        self._handle("GET", b"")

    def do_POST(self) -> None:
        self._handle("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _handle(self, method: str, body: bytes) -> None:
        with self.server.state:
            self.server.asked.append((method, self.path))
            asked = self.path.partition("?")[0]
            misfortune = next((m for m in self.server.script if m.method == method and asked.endswith(m.path)), None)
            if misfortune is not None:
                self.server.script.remove(misfortune)
            status, answer = (0, None)
            if misfortune is None or misfortune.after_the_effect:
                status, answer = self._effect(method, body)
        if misfortune is None:
            self._say(status, json.dumps(answer).encode())
        elif misfortune.hang:
            self.server.closing.wait(30)
            self.close_connection = True
        elif misfortune.status:
            said = misfortune.body or json.dumps({"message": misfortune.message}).encode()
            self._say(misfortune.status, said, misfortune.headers)
        else:
            self.close_connection = True

    def _effect(self, method: str, body: bytes) -> tuple[int, Any]:
        if self.headers.get("Authorization") not in {
            f"token {self.server.token}",
            f"Bearer {self.server.token}",
        }:
            return 401, {"message": "Bad credentials"}
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        repository = "/".join(words[1:3])
        if words[0] != "repos" or repository not in self.server.repositories:
            return 404, {"message": "Not Found"}
        if len(words) == 3:
            return 200, {"full_name": repository, "url": f"{self.server.url}/repos/{repository}"}
        if words[3:] != ["pulls"]:
            return 404, {"message": "Not Found"}
        if method == "GET":
            return 200, self._listing({k: v[0] for k, v in parse_qs(parts.query).items()})
        return self._creation(repository, json.loads(body))

    def _listing(self, query: dict[str, str]) -> list[dict[str, Any]]:
        found = self.server.pulls
        if self.server.pulls and self.server.listed_late:
            self.server.listed_late -= 1
            found = found[:-1]
        found = [p for p in found if query.get("state", "open") in {p["state"], "all"}]
        found = [p for p in found if query.get("head", p["head"]["label"]) == p["head"]["label"]]
        return [p for p in found if query.get("base", p["base"]["ref"]) == p["base"]["ref"]]

    def _creation(self, repository: str, asked: dict[str, Any]) -> tuple[int, Any]:
        for pull in self.server.pulls:
            same = pull["head"]["ref"] == asked["head"] and pull["base"]["ref"] == asked["base"]
            if same and pull["state"] == "open":
                words = f"A pull request already exists for {pull['head']['label']}."
                return 422, {"message": "Validation Failed", "errors": [{"code": "custom", "message": words}]}
        if asked["base"] not in self.server.repositories[repository]:
            return 422, {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid"}]}
        return 201, self.server.add(repository, asked)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
