"""The OpenAPI description tells what is answered: every GET is called, with good and with bad parameters."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from django.core.management import call_command
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from operations.models import Evidence, Operation, Step
from templates_app import drafts
from tests import factories
from tests.api.conftest import caller

DESCRIPTION: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
GETS = sorted(path for path, verbs in DESCRIPTION["paths"].items() if "get" in verbs and not path.endswith("/stream"))
NOTHING = "00000000-0000-0000-0000-000000000000"
CONTRACT = {
    "post": ["projects/", "operations/", "agents/", "templates/", "operations/{id}/cancel/", "operations/{id}/retry/",
             "operations/{id}/approve/", "operations/{id}/answer/", "agents/{id}/stop/", "agents/{id}/retry/",
             "templates/{name}/validate/"],
    "get": ["projects/", "projects/{id}/", "operations/", "operations/{id}/", "operations/{id}/steps/",
            "operations/{id}/events/", "operations/{id}/evidence/", "operations/{id}/diff/", "agents/", "agents/{id}/",
            "agents/{id}/health/", "templates/", "templates/{name}/", "templates/{name}/resolved/", "hosts/", "leases/",
            "queues/", "sessions/", "metrics/", "health/", "events/stream"],
    "put": ["projects/{id}/"], "patch": ["projects/{id}/"], "delete": ["projects/{id}/"],
}  # fmt: skip


def test_it_is_valid_and_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))


def test_it_is_served_and_so_is_its_page_without_inline_scripts(db: None) -> None:
    client = APIClient()
    assert client.get("/api/v1/schema/").status_code == 200
    page = client.get("/api/docs/")
    assert page.status_code == 200
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", page.content.decode())  # our policy would block it


def test_every_path_of_the_contract_is_described() -> None:
    described = {(verb, path) for path, verbs in DESCRIPTION["paths"].items() for verb in verbs}
    assert {(verb, f"/api/v1/{path}") for verb, paths in CONTRACT.items() for path in paths} <= described


def plain(schema: Any) -> Any:
    """An OpenAPI 3.0 schema as a JSON Schema: references in place, ``nullable`` as a type."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    inner = {key: plain(value) for key, value in schema.items() if key not in {"nullable", "readOnly", "example"}}
    return {"anyOf": [inner, {"type": "null"}]} if schema.get("nullable") else inner


def check(answer: Any, path: str) -> None:
    """The status, the content type and the body are as described."""
    described = DESCRIPTION["paths"][path]["get"]["responses"]
    assert str(answer.status_code) in described, (path, answer.status_code, answer.content)
    kinds = described[str(answer.status_code)]["content"]
    kind = answer["Content-Type"].partition(";")[0]
    assert kind in kinds, (path, kind)
    if "json" in kind:
        jsonschema.validate(answer.json(), plain(kinds[kind]["schema"]), format_checker=jsonschema.FormatChecker())


@pytest.fixture
def world(ada: Any, operation: Operation) -> dict[str, str]:
    """Something at every path: the ids by the name of the list."""
    now = timezone.now()
    host, agent = factories.host(), factories.placed(by=ada)
    waiting = factories.agent(by=ada)
    attention = {"kind": "input_required", "reason": "How many?", "since": now.isoformat()}
    Operation.objects.filter(pk=operation.pk).update(agent=waiting, status="waiting", attention=attention, turn=1)
    Step.objects.create(operation=operation, turn=0, stage="init", attempt=1, claim="c", started_at=now)
    Evidence.objects.create(operation=operation, turn=0, kind="tests.run", tree="a" * 40, passed=True, created_at=now)
    lease = host.leases.first()
    assert lease is not None
    drafts.save("python", "on its way", actor="user:ada")
    return {
        "operations": str(operation.pk), "projects": str(operation.project_id), "agents": str(agent.pk),
        "hosts": str(host.pk), "leases": str(lease.pk), "templates": "python", "sessions": NOTHING,
        "egress": NOTHING, "quotas": str(ada.pk),
    }  # fmt: skip


def filled(path: str, world: dict[str, str]) -> str:
    path = path.replace("{kind}", "user").replace("{key}", world.get("quotas", ""))
    return re.sub(r"\{(id|name)\}", world.get(path.split("/")[3], ""), path)


@pytest.mark.parametrize("path", GETS)
def test_what_is_answered_is_what_is_described(staff: APIClient, world: dict[str, str], path: str) -> None:
    answer = staff.get(filled(path, world))
    check(answer, path)
    expected = 404 if NOTHING in filled(path, world) else 409 if path.endswith("/recording/") else 200
    assert answer.status_code == expected


@pytest.mark.parametrize("path", GETS)
def test_bad_parameters_are_answered_as_described(staff: APIClient, world: dict[str, str], path: str) -> None:
    for parameter in DESCRIPTION["paths"][path]["get"].get("parameters", []):
        if parameter["in"] == "query":
            for value in ("", "null", "-1", "ü", "\0", "x" * 5000, "1e999"):
                answer = staff.get(filled(path, world), {parameter["name"]: value})
                assert answer.status_code < 500
                check(answer, path)
        elif parameter["in"] == "path":
            for value in (NOTHING, "x", "%00", "..", "%2e%2e%2f"):
                answer = staff.get(filled(path, dict.fromkeys(world, value)))
                assert 400 <= answer.status_code < 500
                check(answer, path)


@pytest.mark.parametrize("path", GETS)
def test_who_may_not_is_told_as_described(world: dict[str, str], path: str) -> None:
    check(APIClient().get(filled(path, world)), path)
    check(caller(factories.user("eve")).get(filled(path, world)), path)
