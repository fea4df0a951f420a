"""Every 4xx and 5xx under /api/ is a problem document, whoever made it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from operations.models import Operation
from tests.api.breaking import SECRET
from tests.api.conftest import pointers, problem

OPERATIONS = "/api/v1/operations/"


def post(client: APIClient, body: bytes | str, *, to: str = OPERATIONS, kind: str = "application/json") -> Any:
    return client.generic("POST", to, body, content_type=kind)  # type: ignore[arg-type] # bytes are taken too


def test_an_unknown_path_is_named(client: APIClient) -> None:
    for path in ("/api/v1/ships/", "/api/nothing", "/api/v1/operations/1/2/3/"):
        assert path in problem(client.get(path), 404, "request.not_found")["detail"]


def test_a_page_for_people_is_no_problem_document(client: APIClient) -> None:
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert "To the harbour" in answer.content.decode()


def test_a_wrong_method_says_which_are_right(client: APIClient) -> None:
    answer = client.delete(OPERATIONS)
    problem(answer, 405, "request.method_not_allowed")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_only_json_is_read(client: APIClient, kind: str) -> None:
    problem(post(client, "type=coding", kind=kind), 415, "request.unsupported_media_type")


def test_only_json_is_written(client: APIClient) -> None:
    problem(client.get(OPERATIONS, HTTP_ACCEPT="text/html"), 406, "request.not_acceptable")


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 50_000, b"1" * 5000, b'{"metadata": 1e999}'],
    ids=["cut", "empty", "not utf-8", "nan", "deep list", "deep object", "a long number", "infinite"],
)
def test_malformed_json_is_a_bad_request(client: APIClient, body: bytes) -> None:
    answer = post(client, body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in {"request.parse_error", "request.invalid"}
    problem(answer, 400, answer.json()["code"])


@pytest.mark.parametrize("body", ["[]", "[1]", "null", '"text"', "17", "true"])
@pytest.mark.parametrize("to", [OPERATIONS, "/api/v1/projects/", "/api/v1/agents/"])
def test_a_body_that_is_no_object_is_refused(client: APIClient, body: str, to: str) -> None:
    problem(post(client, body, to=to), 400, "request.invalid")


def test_a_body_larger_than_the_bound_is_refused_unread(client: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem(post(client, b'{"a": "' + b"x" * 2000 + b'"}'), 413, "request.too_large")
    problem(post(client, b'{"a": "' + b"x" * 900 + b'"}'), 400, "request.invalid")


def test_a_form_larger_than_the_bound_is_refused_for_sessions_too(ada: Any, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    browser = APIClient(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(ada)
    answer = post(browser, b"a=" + b"x" * 2000, kind="application/x-www-form-urlencoded")
    assert answer.status_code in {403, 413}
    problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "sailing"), ("project_id", "7"), ("project_id", None), ("project_id", {}),
        ("requirements", None), ("requirements", ["x"]), ("requirements", {}), ("requirements", True),
        ("requirements", "a\0b"), ("requirements", "\ud800"), ("priority", "urgent"), ("priority", 2),
        ("approval", "all"), ("metadata", []), ("metadata", "x"), ("metadata", None), ("metadata", {"a": "\0"}),
        ("metadata", {"\ud800": 1}), ("template", ""), ("template", "x" * 81), ("engine", []), ("capability", {}),
    ],
)  # fmt: skip
def test_a_wrong_field_is_pointed_at(client: APIClient, operation: Operation, field: str, value: Any) -> None:
    body = {"type": "coding", "project_id": str(operation.project_id), "requirements": "Mend the quay.", field: value}
    document = problem(post(client, json.dumps(body)), 400, "request.invalid")
    assert pointers(document) == {f"/{field}"}
    assert Operation.objects.count() == 1


def test_metadata_nests_only_so_deep(client: APIClient, operation: Operation) -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"in": deep}
    body = {"project_id": str(operation.project_id), "requirements": "Mend the quay.", "metadata": deep}
    assert pointers(problem(client.post(OPERATIONS, body), 400, "request.invalid")) == {"/metadata"}


def test_every_wrong_field_is_named_at_once(client: APIClient) -> None:
    document = problem(client.post(OPERATIONS, {"type": "sailing", "priority": "urgent"}), 400, "request.invalid")
    assert pointers(document) == {"/type", "/priority", "/project_id", "/requirements"}


@pytest.mark.parametrize("list_of", ["projects", "operations", "agents", "hosts", "leases", "sessions"])
@pytest.mark.parametrize("size", ["0", "-1", "201", "null", "1e9", "", "９", "1" * 5000, "10.0", " 5"])
def test_a_page_size_out_of_bounds_is_refused(staff: APIClient, list_of: str, size: str) -> None:
    answer = staff.get(f"/api/v1/{list_of}/", {"page_size": size})
    assert pointers(problem(answer, 400, "request.invalid")) == {"/page_size"}


@pytest.mark.parametrize(
    "cursor",
    ["x", "ü", "bz0tMQ==", "cD1hYmM=", "cD0wMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5", "cD0yMDI2LTAxLTAxVDAwOjAwOjAw"],
    ids=["no base64", "no ascii", "offset below 0", "no time", "before all time", "no time zone"],
)
def test_a_cursor_of_somebody_s_own_making_is_refused(client: APIClient, operation: Operation, cursor: str) -> None:
    assert pointers(problem(client.get(OPERATIONS, {"cursor": cursor}), 400, "request.invalid")) == {"/cursor"}


@pytest.mark.parametrize("kind", ["projects", "operations", "agents", "hosts", "leases", "sessions", "templates"])
@pytest.mark.parametrize("key", ["x", "1", "00000000-0000-0000-0000-000000000000", "%00", "%F0%9F%9A%A2", "a" * 300])
def test_an_id_that_names_nothing_is_not_found(staff: APIClient, kind: str, key: str) -> None:
    answer = staff.get(f"/api/v1/{kind}/{key}/")
    assert answer.status_code == 404, answer.content
    problem(answer, 404, answer.json()["code"])


@pytest.mark.parametrize(
    "verb", ["cancel", "retry", "approve", "answer", "take-over", "hand-back", "rework", "leave", "close", "look"]
)
def test_a_verb_on_nothing_is_not_found(client: APIClient, verb: str) -> None:
    for key in ("x", "00000000-0000-0000-0000-000000000000"):
        problem(client.post(f"{OPERATIONS}{key}/{verb}/", {"text": "yes"}), 404, "operation.not_found")


def test_a_forgotten_slash_keeps_the_method(client: APIClient) -> None:
    answer = client.post("/api/v1/operations", {})
    assert (answer.status_code, answer["Location"]) == (308, OPERATIONS)


@pytest.mark.urls("tests.api.breaking")
class TestWhatBreaks:
    """A view that breaks says that it did, and nothing else."""

    @pytest.mark.parametrize("view", ["breaks", "plain"])
    def test_a_bug_is_ours_and_is_found_by_its_request_id(
        self, client: APIClient, view: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = client.get(f"/api/v1/{view}/bug/")
        problem(answer, 500, "server.error")
        assert SECRET not in answer.content.decode()
        assert any(record.exc_info for record in caplog.records)

    def test_a_database_that_is_away_asks_for_patience(self, client: APIClient) -> None:
        answer = client.get("/api/v1/breaks/database/")
        problem(answer, 503, "request.database_away")
        assert int(answer["Retry-After"]) >= 1
        assert SECRET not in answer.content.decode()

    def test_what_django_refuses_is_a_problem_document_too(self, client: APIClient) -> None:
        problem(client.get("/api/v1/breaks/suspicious/"), 400, "request.parse_error")
        problem(client.get("/api/v1/plain/suspicious/"), 400, "request.bad")
        problem(client.get("/api/v1/plain/forbidden/"), 403, "request.permission_denied")


def test_a_host_name_that_is_not_ours_is_refused(client: APIClient) -> None:
    problem(client.get(OPERATIONS, HTTP_HOST="evil.example"), 400, "request.bad")


def test_a_request_id_of_the_caller_is_kept_when_it_is_one(client: APIClient) -> None:
    assert client.get("/api/v1/nothing/", HTTP_X_REQUEST_ID="ticket-4711").json()["request_id"] == "ticket-4711"
    for odd in ("short", "x" * 65, 'a"b c{d}e', "<script>alert(1)"):
        assert client.get("/api/v1/nothing/", HTTP_X_REQUEST_ID=odd).json()["request_id"] != odd
