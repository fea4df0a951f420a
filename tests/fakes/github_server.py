"""GitHub's REST dialect over http on loopback: a repository, its pull requests, and scripted misfortune."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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
        self.git: Path | None = None  # the bare repository behind team/app: heads are what it says
        self.runs: dict[str, list[dict[str, Any]]] = {}  # commit -> check runs
        self.statuses: dict[str, list[dict[str, Any]]] = {}  # commit -> statuses of the older kind
        self.logs: dict[str, str] = {}  # job -> log
        self.logs_at = ""  # where logs are kept; empty: here
        self.reviews: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.talk: list[dict[str, Any]] = []  # the conversation
        self.renamed: dict[str, str] = {}  # what a repository was called before: it answers 301
        self.limit_used = 0  # requests that count: those answered by 304 do not
        self.afterwards: dict[str, Callable[[], object]] = {}  # "GET /pulls/1": done once, when that was answered
        self.permissions: dict[str, str] = {}  # user -> admin, write, read or none
        self.drafts = True
        self.filters = True  # listings keep to the head that was asked for
        self.not_modified = 0  # how often it answered 304
        self.strange: list[str] = []  # credentials that came where none belong
        self.listed_late = 0  # so many listings do not show the newest pull request yet
        self.state = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, method: str) -> int:
        """How often this method was asked."""
        return sum(asked == method for asked, _ in self.asked)

    def head_of(self, branch: str) -> str:
        """The commit of a branch: git's, where there is a repository."""
        if self.git is None:
            return hashlib.sha1(branch.encode(), usedforsecurity=False).hexdigest()
        done = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"], cwd=self.git, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip()

    def check(self, commit: str, name: str, conclusion: str | None, *, job: int = 0, summary: str = "") -> None:
        """A check run of a commit; None while it runs. A later one of the same name takes its place."""
        run = {
            "id": job, "name": name, "status": "completed" if conclusion else "in_progress", "conclusion": conclusion,
            "details_url": f"{self.url}/team/app/actions/runs/7/job/{job}" if job else "",
            "output": {"title": None, "summary": summary},
        }  # fmt: skip
        self.runs[commit] = [old for old in self.runs.get(commit, []) if old["name"] != name] + [run]

    def say(self, author: str, words: str, *, at: str, number: int = 0, vetoes: bool = False) -> None:
        """A review of one pull request, with what it says in one comment on a line."""
        number = number or len(self.reviews) + 1
        state = "CHANGES_REQUESTED" if vetoes else "COMMENTED"
        self.reviews.append({"id": number, "user": {"login": author}, "body": "", "state": state, "submitted_at": at})
        self.comments.append(
            {"id": number, "user": {"login": author}, "body": words, "path": "calc.py", "line": 6, "created_at": at,
             "pull_request_review_id": number}
        )  # fmt: skip

    def mention(self, author: str, words: str, *, at: str, number: int = 0, kind: str = "User") -> None:
        """A comment in the conversation; one of the same number is edited."""
        number = number or len(self.talk) + 1
        user = {"login": author, "type": kind}
        said = {"id": number, "user": user, "body": words, "created_at": at, "updated_at": at}
        self.talk = [old for old in self.talk if old["id"] != number] + [said]

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
            "issue_url": f"{self.url}/repos/{repository}/issues/{number}",
            "head": {"ref": asked["head"], "label": f"{owner}:{asked['head']}", "repo": {"full_name": repository}},
            "base": {"ref": asked["base"], "label": f"{owner}:{asked['base']}", "repo": {"full_name": repository}},
            "draft": asked.get("draft", False),
            "merged": False,
            "mergeable": True,
            "merge_commit_sha": None,
            "labels": [],
            "requested_reviewers": [],
            "requested_teams": [],
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

    def do_PATCH(self) -> None:
        self._handle("PATCH", self.rfile.read(int(self.headers.get("Content-Length", 0))))

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
        with self.server.state:
            afterwards = [do for what, do in self.server.afterwards.items() if f"{method} {asked}".endswith(what)]
            self.server.afterwards = {what: do for what, do in self.server.afterwards.items() if do not in afterwards}
        for do in afterwards:
            do()
        if misfortune is None and isinstance(answer, str):
            kind = {"Location": answer} if status in {301, 302, 307} else {}
            self._say(status, b"" if kind else answer.encode(), kind)
        elif misfortune is None:
            shown, more = self._page(answer) if method == "GET" else (answer, {})
            self._say_unless_known(method, status, json.dumps(shown).encode(), more)
        elif misfortune.hang:
            self.server.closing.wait(30)
            self.close_connection = True
        elif misfortune.status:
            said = misfortune.body or json.dumps({"message": misfortune.message}).encode()
            self._say(misfortune.status, said, misfortune.headers)
        else:
            self.close_connection = True

    def _page(self, answer: Any) -> tuple[Any, dict[str, str]]:
        """The page that was asked for of a listing, and the header that says whether another follows."""
        query = {
            name: int(value[0]) for name, value in parse_qs(urlsplit(self.path).query).items() if value[0].isdigit()
        }
        inside = next((name for name in ("check_runs", "statuses") if isinstance(answer, dict) and name in answer), "")
        listed = answer[inside] if inside else answer
        if not isinstance(listed, list):
            return answer, {}
        size, number = min(query.get("per_page", 30), 100), query.get("page", 1)
        shown = listed[(number - 1) * size : number * size]
        following = f"{self.server.url}{self.path.partition('?')[0]}?per_page={size}&page={number + 1}"
        more = {"Link": f'<{following}>; rel="next"'} if len(listed) > number * size else {}
        return ({**answer, inside: shown} if inside else shown), more

    def _say_unless_known(self, method: str, status: int, body: bytes, more: dict[str, str]) -> None:
        tag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        known = method == "GET" and self.headers.get("If-None-Match") == tag
        with self.server.state:
            self.server.not_modified += known
            self.server.limit_used += not known
            limit = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": str(5000 - self.server.limit_used)}
        self._say(304 if known else status, b"" if known else body, {"ETag": tag, **limit, **more})

    def _effect(self, method: str, body: bytes) -> tuple[int, Any]:
        if self.path.startswith("/blobs/"):
            if self.headers.get("Authorization"):
                self.server.strange.append(self.path)
            return 200, self.server.logs[self.path.removeprefix("/blobs/")]
        if self.headers.get("Authorization") not in {
            f"token {self.server.token}",
            f"Bearer {self.server.token}",
        }:
            return 401, {"message": "Bad credentials"}
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        repository = "/".join(words[1:3])
        if new := self.server.renamed.get(repository):
            rest = self.path.removeprefix(f"/repos/{repository}")
            return (301 if method == "GET" else 307), f"{self.server.url}/repos/{new}{rest}"
        if words[0] != "repos" or repository not in self.server.repositories:
            return 404, {"message": "Not Found"}
        if len(words) == 3:
            return 200, {"full_name": repository, "url": f"{self.server.url}/repos/{repository}"}
        if words[3:] == ["pulls"] and method == "GET":
            return 200, self._listing({k: v[0] for k, v in parse_qs(parts.query).items()})
        if words[3:] == ["pulls"]:
            return self._creation(repository, json.loads(body))
        return self._inside(method, "/".join(words[3:]), json.loads(body or b"{}"))

    def _inside(self, method: str, path: str, asked: dict[str, Any]) -> tuple[int, Any]:
        """What lies beneath a repository: one line for each kind."""
        found: re.Match[str] | None
        if found := re.fullmatch(r"commits/(\w+)/check-runs", path):
            return 200, {"total_count": 0, "check_runs": self.server.runs.get(found[1], [])}
        if found := re.fullmatch(r"commits/(\w+)/status", path):
            return 200, {"state": "pending", "statuses": self.server.statuses.get(found[1], [])}
        if found := re.fullmatch(r"collaborators/([\w-]+)/permission", path):
            known = self.server.permissions.get(found[1])
            return (200, {"permission": known}) if known else (404, {"message": "Not Found"})
        if found := re.fullmatch(r"actions/jobs/(\d+)/logs", path):
            kept = found[1] in self.server.logs
            return (
                (302, f"{self.server.logs_at or self.server.url}/blobs/{found[1]}")
                if kept
                else (404, {"message": "Not Found"})
            )
        if not (found := re.fullmatch(r"(?:pulls|issues)/(\d+)(?:/(\w+))?", path)):
            return 404, {"message": "Not Found"}
        pull = next((pull for pull in self.server.pulls if pull["number"] == int(found[1])), None)
        if pull is None:
            return 404, {"message": "Not Found"}
        if path.startswith("issues/") and (method, found[2]) == ("GET", "comments"):
            return 200, self.server.talk
        return self._of_pull(method, pull, found[2] or "", asked)

    def _of_pull(self, method: str, pull: dict[str, Any], part: str, asked: Any) -> tuple[int, Any]:
        if (method, part) == ("GET", ""):
            return 200, self._shown(pull)
        if (method, part) == ("PATCH", ""):
            if pull["merged"] and "state" in asked:
                return 422, {"message": "Validation Failed", "errors": [{"field": "state", "code": "invalid"}]}
            pull.update(asked)
            return 200, self._shown(pull)
        if method == "GET":
            return 200, {"reviews": self.server.reviews, "comments": self.server.comments}[part]
        if part == "labels":
            names = asked["labels"] if isinstance(asked, dict) else asked
            pull["labels"] += [{"name": name} for name in names]
            return 200, pull["labels"]
        if unknown := [name for name in asked.get("reviewers", []) if name not in self.server.permissions]:
            return 422, {"message": f"Reviews may only be requested from collaborators: {', '.join(unknown)}"}
        pull["requested_reviewers"] += [{"login": name} for name in asked.get("reviewers", [])]
        return 201, self._shown(pull)

    def _shown(self, pull: dict[str, Any]) -> dict[str, Any]:
        """As GitHub shows it: its head is where the branch is now, or was last. Without its branch it is closed."""
        at = self.server.head_of(pull["head"]["ref"])
        sha = at or pull["head"].get("sha", "")
        if not at and sha:
            pull["state"] = "closed"
        pull["head"]["sha"] = sha
        return pull

    def _listing(self, query: dict[str, str]) -> list[dict[str, Any]]:
        found = self.server.pulls
        if self.server.pulls and self.server.listed_late:
            self.server.listed_late -= 1
            found = found[:-1]
        found = [p for p in found if query.get("state", "open") in {p["state"], "all"}]
        if self.server.filters:
            found = [p for p in found if query.get("head", p["head"]["label"]) == p["head"]["label"]]
        return [p for p in found if query.get("base", p["base"]["ref"]) == p["base"]["ref"]]

    def _creation(self, repository: str, asked: dict[str, Any]) -> tuple[int, Any]:
        for pull in self.server.pulls:
            label = f"{repository.partition('/')[0]}:{asked['head']}"
            same = pull["head"]["label"] == label and pull["base"]["ref"] == asked["base"]
            if same and pull["state"] == "open":
                words = f"A pull request already exists for {pull['head']['label']}."
                return 422, {"message": "Validation Failed", "errors": [{"code": "custom", "message": words}]}
        if asked["base"] not in self.server.repositories[repository]:
            return 422, {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid"}]}
        if asked.get("draft") and not self.server.drafts:
            return 422, {"message": "Draft pull requests are not supported in this repository."}
        return 201, self.server.add(repository, asked)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
