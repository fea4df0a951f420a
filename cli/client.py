"""The HTTP API: requests, pages and problem documents. Every failure leaves as a :class:`Failure`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from cli import __version__
from cli.access import Access
from cli.failures import Failure, Unreachable, from_problem

TIMEOUT_S = 30.0
PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class Line:
    """Where a websocket goes, and who we are there."""

    address: str
    authorization: str = field(repr=False)
    on_this_machine: bool


class Api:
    """One server. Paths are relative to ``/api/v1/``."""

    def __init__(self, access: Access) -> None:
        self.url = access.url
        self._access = access
        self._http = httpx.Client(
            base_url=f"{access.url}/api/v1/",
            headers={
                "Authorization": f"Bearer {access.token}",
                "User-Agent": f"moorage/{__version__}",
                "Accept": "application/json",
            },
            timeout=httpx.Timeout(TIMEOUT_S, connect=10.0),
            trust_env=not access.on_this_machine,  # a proxy has no business between us and loopback
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def twin(self) -> Api:
        """The same server over connections of its own: for a thread that is left behind when this one is closed."""
        return Api(self._access)

    def relay(self) -> Line:
        """Where this server relays terminals, for whoever asks here."""
        address = self.url.replace("http", "ws", 1) + "/ws/terminals/"
        return Line(address, f"Bearer {self._access.token}", self._access.on_this_machine)

    def get(self, path: str, /, *, wait_s: float = 0.0, **parameters: Any) -> Any:
        """The JSON at a path. ``wait_s`` is how much longer than usual the answer may take."""
        return _json_of(self._send("GET", path, params=_given(parameters), wait_s=wait_s, again=True))

    def text(self, path: str) -> tuple[str, str]:
        """(media type, text) of what may be JSON or not."""
        response = self._send("GET", path, again=True, headers={"Accept": "application/json, text/*"})
        return response.headers.get("Content-Type", "").partition(";")[0].strip().lower(), response.text

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, key: str = "") -> Any:
        """POST JSON. With an idempotency key it is sent once more, under that key, when the line breaks."""
        headers = {"Idempotency-Key": key} if key else {}
        return _json_of(self._send("POST", path, body=body or {}, headers=headers, again=bool(key)))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return _json_of(self._send("PATCH", path, body=body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return _json_of(self._send("PUT", path, body=body))

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def rows(self, path: str, *, limit: int = 1000, **parameters: Any) -> Iterator[dict[str, Any]]:
        """At most ``limit`` entries of a list, page by page; also of a list that comes without pages.

        Of the link to the next page only the query is used: whatever host it names, the token goes to ours.
        """
        query: dict[str, Any] = {"page_size": min(limit, PAGE_SIZE), **_given(parameters)}
        seen: set[str] = set()
        left = limit
        while left > 0:
            page = self.get(path, **query)
            entries = page.get("results", []) if isinstance(page, dict) else page
            for entry in entries[:left] if isinstance(entries, list) else []:
                if isinstance(entry, dict):
                    yield entry
                    left -= 1
            following = page.get("next") if isinstance(page, dict) else None
            if not isinstance(following, str) or following in seen:
                return
            seen.add(following)
            query = dict(parse_qsl(urlsplit(following).query))

    @contextmanager
    def stream(self, path: str, *, silence_s: float, **parameters: Any) -> Iterator[httpx.Response]:
        """An open event stream; ``silence_s`` without a byte is a broken line."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        timeout = httpx.Timeout(silence_s, connect=10.0)
        try:
            with self._http.stream(
                "GET", path, params=_given(parameters), headers=headers, timeout=timeout
            ) as response:
                if response.status_code >= 300:
                    response.read()
                    _accepted(response)
                yield response
        except httpx.RequestError as error:
            raise _broken(error, self.url) from error

    def _send(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, **request: Any) -> httpx.Response:
        """The answer to a request, whose JSON is plain ASCII: lone surrogates are the server's to refuse."""
        headers = request.pop("headers", {})
        if body is not None:
            request["content"] = json.dumps(dict(body), allow_nan=False)
            headers = {**headers, "Content-Type": "application/json"}
        return _accepted(self._request(method, path, headers=headers, **request))

    def _request(
        self, method: str, path: str, *, wait_s: float = 0.0, again: bool = False, **request: Any
    ) -> httpx.Response:
        timeout = httpx.Timeout(TIMEOUT_S + wait_s, connect=10.0)
        try:
            return self._http.request(method, path, timeout=timeout, **request)
        except httpx.RequestError as error:
            if again:
                return self._request(method, path, wait_s=wait_s, again=False, **request)
            raise _broken(error, self.url) from error


def _given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}


def _broken(error: httpx.RequestError, url: str) -> Failure:
    what = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    return Unreachable(f"{url} {what}: {error or type(error).__name__}.", "Is it running? Is MOORAGE_URL right?")


def _document(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _accepted(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    where = f"{response.request.method} {response.request.url.path}"
    if response.is_redirect:
        target = response.headers.get("Location", "nowhere")
        raise Unreachable(f"{where} is redirected to {target}.", "Give the URL that the server really has.")
    raise from_problem(response.status_code, _document(response), where=where)


def _json_of(response: httpx.Response) -> Any:
    if not response.content:
        return {}
    document = _document(response)
    if document is None:
        raise Unreachable(f"{response.request.url.path} did not answer in JSON. Is this the URL of Moorage?")
    return document
