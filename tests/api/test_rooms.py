"""Projects, agents, hosts, leases, templates and figures, as a client sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from agents import lifecycle
from events import policy
from operations import submit
from operations.models import Operation, Project
from tests import factories
from tests.api.conftest import pointers, problem

PROJECTS, AGENTS, TEMPLATES = "/api/v1/projects/", "/api/v1/agents/", "/api/v1/templates/"


class TestProjects:
    def test_it_is_made_read_changed_and_archived(self, client: APIClient, repository_url: str) -> None:
        made = client.post(PROJECTS, {"name": "bay", "repository_url": repository_url, "metadata": {"a": 1}})
        assert made.status_code == 201
        path = made["Location"]
        assert client.get(path).json() == made.json()
        assert set(made.json()) >= {"id", "name", "repository_url", "base_branch", "default_template", "metadata"}
        changed = client.patch(path, {"base_branch": "trunk"}).json()
        assert (changed["base_branch"], changed["metadata"]) == ("trunk", {"a": 1})
        replaced = client.put(path, {"name": "cove", "repository_url": repository_url}).json()
        assert (replaced["name"], replaced["base_branch"], replaced["metadata"]) == ("cove", "", {})
        gone = client.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
        problem(client.get(path), 404, "project.not_found")
        problem(client.delete(path), 404, "project.not_found")

    def test_what_is_read_only_stays(self, client: APIClient, project: Project) -> None:
        answer = client.patch(
            f"{PROJECTS}{project.pk}/", {"id": "x", "owner": "eve", "created_at": "1999-01-01T00:00:00Z"}
        )
        assert answer.json()["id"] == str(project.pk)
        assert answer.json()["owner"] == "ada"
        assert not answer.json()["created_at"].startswith("1999")

    @pytest.mark.parametrize(
        ("field", "value", "status", "code"),
        [
            ("name", "", 400, "request.invalid"),
            ("name", "x" * 101, 400, "request.invalid"),
            ("metadata", [], 400, "request.invalid"),
            ("base_branch", "a..b", 400, "requirement.refused"),
            ("name", "bay", 409, "project.exists"),
        ],
    )
    def test_a_wrong_field_is_pointed_at(
        self, client: APIClient, project: Project, field: str, value: Any, status: int, code: str
    ) -> None:
        body = {"name": "cove", "repository_url": project.repository_url, field: value}
        assert pointers(problem(client.post(PROJECTS, body), status, code)) == {f"/{field}"}
        assert Project.objects.count() == 1

    @pytest.mark.parametrize(
        "url", ["/etc", "file:///etc", "ext::sh", "--upload-pack=x", "http://127.0.0.1/x", "ftp://a/b"]
    )
    def test_an_address_that_is_not_allowed_is_refused(self, client: APIClient, db: None, url: str) -> None:
        answer = client.post(PROJECTS, {"name": "cove", "repository_url": url})
        assert 400 <= answer.status_code < 500
        problem(answer, answer.status_code, answer.json()["code"])
        assert not Project.objects.exists()

    def test_one_with_work_under_way_is_not_archived(self, client: APIClient, operation: Operation) -> None:
        path = f"{PROJECTS}{operation.project_id}/"
        problem(client.delete(path), 409, "project.busy")
        submit.cancel(by=operation.created_by, operation_id=operation.pk)
        assert client.delete(path).status_code == 204
        assert client.get(f"/api/v1/operations/{operation.pk}/").status_code == 200


class TestAgents:
    def test_one_is_asked_for_and_leaves(self, client: APIClient, project: Project) -> None:
        wish = {"template": "lightweight", "name": "scout", "project_id": str(project.pk), "capabilities": ["testing"]}
        asked = client.post(AGENTS, wish)
        assert asked.status_code == 202
        body = asked.json()
        assert {key: body[key] for key in wish} == wish
        assert (body["state"], body["host"], body["queue_position"]) == ("spawning", None, 1)
        assert client.get(asked["Location"]).json() == {**body, "disk": None, "volumes": []}
        health = client.get(f"{asked['Location']}health/").json()
        assert health["verdict"] in {"healthy", "idle", "stuck", "lost", "unknown"}
        assert health["cause"]
        problem(client.post(f"{asked['Location']}retry/"), 409, "agent.illegal_transition")
        stopped = client.post(f"{asked['Location']}stop/")
        assert (stopped.status_code, stopped.json()["state"]) == (202, "stopping")
        assert client.post(f"{asked['Location']}stop/").json() == stopped.json()

    @pytest.mark.parametrize(
        ("wish", "status", "code", "pointer"),
        [
            ({}, 400, "request.invalid", "/template"),
            ({"template": "lightweight", "capabilities": ["flying"]}, 400, "agent.unknown_capability", "/capabilities"),
            ({"template": "lightweight", "capabilities": "testing"}, 400, "request.invalid", "/capabilities"),
            (
                {"template": "lightweight", "capabilities": ["testing", 1.5, {}]},
                400,
                "request.invalid",
                "/capabilities/2",
            ),
            ({"template": "lightweight", "project_id": "x"}, 400, "request.invalid", "/project_id"),
            ({"template": "lightweight", "name": ""}, 400, "request.invalid", "/name"),
        ],
    )
    def test_a_wrong_wish_is_pointed_at(
        self, client: APIClient, wish: dict[str, Any], status: int, code: str, pointer: str
    ) -> None:
        assert pointers(problem(client.post(AGENTS, wish), status, code)) == {pointer}

    def test_state_cannot_be_given(self, client: APIClient) -> None:
        body = client.post(AGENTS, {"template": "lightweight", "state": "running", "generation": 7}).json()
        assert (body["state"], body["generation"]) == ("spawning", 1)


class TestTemplates:
    HEAD = "apiVersion: moorage/v1\nkind: Template\n"
    TEXT = f"{HEAD}name: dock\nversion: 1.0.0\nextends: lightweight\ndescription: A dock.\n"

    def test_those_that_come_along_are_listed_read_and_resolved(self, client: APIClient) -> None:
        names = [row["name"] for row in client.get(TEMPLATES).json()["results"]]
        assert names == sorted(names)
        for name in names:
            assert client.get(f"{TEMPLATES}{name}/").json()["name"] == name
            body = client.get(f"{TEMPLATES}{name}/resolved/").json()
            assert body["layers"][-1]["name"] == name
            assert "provenance" not in body

    def test_explain_says_who_set_what(self, client: APIClient) -> None:
        body = client.get(f"{TEMPLATES}python/resolved/", {"explain": "1"}).json()
        assert {"path", "template", "version", "line", "how", "value", "shadowed"} == set(body["provenance"][0])
        answer = client.get(f"{TEMPLATES}python/resolved/", {"explain": "perhaps"})
        assert pointers(problem(answer, 400, "request.invalid")) == {"/explain"}

    def test_an_unknown_name_gets_a_suggestion(self, client: APIClient) -> None:
        assert "python" in problem(client.get(f"{TEMPLATES}pyton/"), 404, "template.not_found")["detail"]

    def test_a_text_is_checked_without_being_kept(self, client: APIClient, places: Path) -> None:
        answer = client.post(f"{TEMPLATES}dock/validate/", {"text": self.TEXT})
        assert (answer.status_code, answer.json()["valid"], answer.json()["name"]) == (200, True, "dock")
        assert not (places / "templates").exists()

    def test_every_error_comes_with_its_place(self, client: APIClient) -> None:
        text = f"{self.HEAD}name: dock\nversion: 1\nspec:\n  resources:\n    memory: much\n  colour: red\n"
        document = problem(client.post(f"{TEMPLATES}dock/validate/", {"text": text}), 422, "template.invalid")
        assert {"/version", "/spec/colour"} <= pointers(document)
        assert {error["line"] for error in document["errors"]} >= {4, 8}

    def test_a_text_of_another_name_is_refused(self, client: APIClient) -> None:
        answer = client.post(f"{TEMPLATES}quay/validate/", {"text": self.TEXT})
        assert problem(answer, 422, "template.invalid")["errors"][0]["code"] == "name_mismatch"

    def test_staff_publish_one_and_a_newer_version_of_it(self, staff: APIClient, places: Path) -> None:
        made = staff.post(TEMPLATES, {"text": self.TEXT})
        assert (made.status_code, made["Location"]) == (201, f"{TEMPLATES}dock/")
        assert staff.get(made["Location"]).json() == made.json()
        assert made.json()["text"] == self.TEXT
        assert made.json()["state"]["source"] == "published"
        assert staff.post(TEMPLATES, {"text": self.TEXT}).json() == made.json()
        other = self.TEXT.replace("A dock", "Another")
        problem(staff.post(TEMPLATES, {"text": other}), 409, "template.exists")
        assert staff.post(TEMPLATES, {"text": other.replace("1.0.0", "1.1.0")}).json()["version"] == "1.1.0"
        assert not (places / "templates").exists()  # what is published is the same on every host: in the database

    @pytest.mark.parametrize(
        "text", [HEAD + "name: ../x\nversion: 1.0.0\n", HEAD + "name: a/b\nversion: 1.0.0\n", "- 1\n", "{", "&a [*a]"]
    )
    def test_a_hostile_text_is_refused_and_nothing_written(self, staff: APIClient, places: Path, text: str) -> None:
        problem(staff.post(TEMPLATES, {"text": text}), 422, "template.invalid")
        assert not (places / "templates").exists()

    def test_one_that_breaks_its_heirs_is_refused(self, staff: APIClient) -> None:
        heir = f"{self.HEAD}name: skiff\nversion: 1.0.0\nextends: dock@1\n"
        for text in (self.TEXT, heir):
            assert staff.post(TEMPLATES, {"text": text}).status_code == 201
        looped = f"{self.HEAD}name: dock\nversion: 1.1.0\nextends: skiff\n"
        problem(staff.post(TEMPLATES, {"text": looped}), 422, "template.invalid")
        assert staff.get(f"{TEMPLATES}dock/").json()["version"] == "1.0.0"

    def test_a_broken_file_is_named_beside_the_good_ones(self, client: APIClient, places: Path) -> None:
        (places / "templates").mkdir()
        (places / "templates" / "wreck.yaml").write_text("name: [")
        body = client.get(TEMPLATES).json()
        assert [row["name"] for row in body["broken"]] == ["wreck"]
        assert "python" in [row["name"] for row in body["results"]]
        problem(client.get(f"{TEMPLATES}wreck/"), 422, "template.invalid")


class TestHostsAndLeases:
    def test_a_host_says_what_it_lends_and_what_is_taken(self, staff: APIClient) -> None:
        host = factories.host(slots=4, memory_mb=4096)
        agent = factories.placed()
        (row,) = staff.get("/api/v1/hosts/").json()["results"]
        assert row == staff.get(f"/api/v1/hosts/{host.pk}/").json()
        assert row["capacity"] == {"slots": 4, "memory_mb": 4096, "cpu_millis": 4000, "disk_mb": 8192, "ports": 100}
        assert row["reserved"]["slots"] == 1
        assert row["reserved"]["memory_mb"] > 0
        assert row["verdict"] == "alive"
        leases = staff.get("/api/v1/leases/").json()["results"]
        assert {lease["owner"] for lease in leases} == {agent.owner}
        assert {"slot", "memory"} <= {lease["kind"] for lease in leases}
        assert staff.get(f"/api/v1/leases/{leases[0]['id']}/").json() == leases[0]

    def test_what_a_host_lends_is_told_to_staff_on_every_way(self, client: APIClient, staff: APIClient) -> None:
        host = factories.host()
        for path in ("hosts/", f"hosts/{host.pk}/", "metrics/"):
            assert "reserved" in staff.get(f"/api/v1/{path}").content.decode(), path
            seen = client.get(f"/api/v1/{path}").content.decode()
            assert host.name in seen
            assert '"verdict":"alive"' in seen
            assert not any(word in seen for word in ("reserved", "capacity", "facts", "heartbeat")), path
        ordinary, operator = factories.user("visitor"), factories.user("pilot", staff=True)
        for topic in (f"host.{host.pk}", "metrics"):
            assert policy.may_view(operator, topic)
            assert not policy.may_view(ordinary, topic)
        assert policy.may_view(ordinary, "queue")

    def test_leases_given_back_are_history(self, staff: APIClient) -> None:
        factories.host()
        agent = factories.placed()
        lifecycle.leases.release(owner=agent.owner, actor="system", reason="test", now=timezone.now())
        assert staff.get("/api/v1/leases/").json()["results"] == []
        history = staff.get("/api/v1/leases/", {"state": "released"}).json()["results"]
        assert {lease["owner"] for lease in history} == {agent.owner}
        answer = staff.get("/api/v1/leases/", {"state": "sunk"})
        assert pointers(problem(answer, 400, "request.invalid")) == {"/state"}


def test_queues_health_and_figures_tell_what_is(client: APIClient, operation: Operation) -> None:
    (queue,) = client.get("/api/v1/queues/").json()
    assert (queue["name"], queue["total_operations"], queue["waiting_operations"]) == ("coding", 1, 1)
    assert queue["reasons"] == {"worker": 1}
    health = client.get("/api/v1/health/").json()
    assert {part["name"] for part in health["parts"]} == {
        "database", "disk", "redis", "hosts", "sweep", "outbox", "outside services", "egress proxy",
    }  # fmt: skip
    assert all(part["ok"] or part["remedy"] for part in health["parts"])
    figures = client.get("/api/v1/metrics/").json()
    assert figures == {"operations": {"queued": 1}, "agents": {}, "hosts": []}
