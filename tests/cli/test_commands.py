"""The commands: what is sent, what is printed, and the exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cli import __version__
from cli.main import parser
from tests.cli.conftest import ROOT, Run
from tests.fakes.moorage_server import MoorageServer


def sent(server: MoorageServer, method: str) -> list[tuple[str, dict[str, str], Any]]:
    return [(path, headers, body) for verb, path, headers, body in server.requests if verb == method]


def test_run_sends_the_requirement_and_every_option(server: MoorageServer, moorage: Run, tmp_path: Path) -> None:
    project = server.add("projects", name="tide-table")
    requirement = tmp_path / "requirement.md"
    requirement.write_text("# Sill\n\ncrossings, please — now\n", encoding="utf-8")
    options = ["--engine", "patch", "--template", "python", "--priority", "high", "--approval", "plan"]
    more = [
        "--metadata",
        '{"issue": 7}',
        "--capability",
        "testing",
        "--memory-mb",
        "2048",
        "--disk-mb",
        "900",
        "--detach",
    ]
    done = moorage("run", "-p", "tide-table", "-f", str(requirement), *options, *more)
    assert done.returncode == 0, done.stderr
    ((path, _, body),) = sent(server, "POST")
    assert path == "/api/v1/operations/"
    assert body == {
        "type": "coding",
        "project_id": project["id"],
        "requirements": "# Sill\n\ncrossings, please — now\n",
        "engine": "patch",
        "template": "python",
        "size": {"memory_mb": 2048, "disk_mb": 900},
        "priority": "high",
        "approval": "plan",
        "capability": "testing",
        "metadata": {"issue": 7},
    }
    assert done.stdout.strip() == server.collections["operations"][0]["id"]


def test_run_reads_the_requirement_from_stdin(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="tide-table")
    assert moorage("run", "-p", "tide-table", "--detach", stdin="from a pipe\n").returncode == 0
    assert sent(server, "POST")[0][2]["requirements"] == "from a pipe\n"


def test_metadata_may_come_from_a_file(server: MoorageServer, moorage: Run, tmp_path: Path) -> None:
    server.add("projects", name="p")
    (tmp_path / "m.json").write_text('{"recording": {"format": 1}}')
    moorage("run", "-p", "p", "text", "--detach", "--metadata", f"@{tmp_path / 'm.json'}")
    assert sent(server, "POST")[0][2]["metadata"] == {"recording": {"format": 1}}


def test_an_answer_that_was_lost_does_not_start_the_work_twice(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="p")
    server.cut_answers = 1
    done = moorage("run", "-p", "p", "text", "--detach")
    assert done.returncode == 0, done.stderr
    first, second = sent(server, "POST")
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert len(server.collections["operations"]) == 1


def test_two_runs_have_two_keys_unless_one_is_given(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="p")
    for more in ([], [], ["--idempotency-key", "mine"]):
        moorage("run", "-p", "p", "text", "--detach", *more)
    keys = [headers["Idempotency-Key"] for _, headers, _ in sent(server, "POST")]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_what_steers_is_sent_only_once_even_if_the_line_breaks(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="running")
    server.cut_answers = 1
    assert moorage("operation", "retry", operation["id"]).returncode == 4
    assert len(sent(server, "POST")) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "-p", "p", "   "],
        ["run", "-p", "p", "text", "-f", "x"],
        ["run", "-p", "p", "-f", "no-such-file"],
        ["run", "-p", "p", "text", "--metadata", "[1]"],
        ["run", "-p", "p", "text", "--metadata", "{"],
        ["run", "-p", "p", "text", "--metadata", '{"a": NaN}'],
        ["run", "-p", "p", "not \udcff text"],
        ["run", "-p", "p", "text", "--metadata", "[" * 100_000],
        ["run", "-p", "p", "text", "--idempotency-key", "ä"],
        ["run", "text"],
        ["operation", "list", "--limit", "0"],
        ["project", "update", "p"],
        ["project", "delete", "p"],
        ["template", "show", ".."],
        ["operation"],
        [],
    ],
)
def test_wrong_use_is_exit_code_2_and_changes_nothing(
    server: MoorageServer, moorage: Run, arguments: list[str]
) -> None:
    server.add("projects", name="p")
    done = moorage(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {method for method, *_ in server.requests} <= {"GET"}


def test_a_problem_document_is_told_in_full(server: MoorageServer, moorage: Run) -> None:
    server.problems["POST", "projects/"] = (
        422,
        {
            "code": "repository.refused",
            "detail": "That URL is not allowed.",
            "remedy": "Use https.",
            "request_id": "r-42",
            "errors": [{"pointer": "/repository_url", "code": "scheme", "detail": "ftp:// \x1b[31mis not read"}],
        },
    )
    done = moorage("project", "create", "p", "ftp://x")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "repository.refused: That URL is not allowed." in done.stderr
    assert "/repository_url: ftp:// [31mis not read (scheme)" in done.stderr
    assert "Use https." in done.stderr
    assert "r-42" in done.stderr


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"code": "x", "detail": "y"}, 3),
        (403, "<html>no</html>", 3),
        (500, {"code": "server.error", "detail": "broke"}, 4),
        (502, "<html>bad gateway</html>", 4),
        (200, "<html>welcome to the router</html>", 4),
        (302, "", 4),
    ],
)
def test_the_exit_code_tells_refused_from_broken(
    server: MoorageServer, moorage: Run, status: int, body: Any, code: int
) -> None:
    server.problems["GET", "projects/"] = (status, body)
    done = moorage("project", "list")
    assert done.returncode == code
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("depth", [500, 900, 100_000])
def test_an_answer_that_is_nested_without_end_is_no_traceback(server: MoorageServer, moorage: Run, depth: int) -> None:
    server.documents["projects/"] = "[" * depth + "]" * depth
    server.documents["health/"] = '{"status":' + "[" * depth + "]" * depth + "}"
    for arguments in (["project", "list"], ["doctor", "--json"]):
        assert "Traceback" not in moorage(*arguments).stderr


def test_a_lone_surrogate_in_metadata_is_left_to_the_server(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="p")
    done = moorage("run", "-p", "p", "text", "--detach", "--metadata", '{"a": "\\ud800"}')
    assert done.returncode == 0, done.stderr
    assert sent(server, "POST")[0][2]["metadata"] == {"a": "\ud800"}


def test_a_server_out_of_reach_is_exit_code_4(moorage: Run) -> None:
    done = moorage("project", "list", MOORAGE_URL="http://127.0.0.1:1")
    assert done.returncode == 4
    assert "cannot be reached" in done.stderr


def test_a_wrong_token_is_refused_with_the_way_on_and_not_shown(moorage: Run) -> None:
    done = moorage("project", "list", MOORAGE_TOKEN="moor_wrong")
    assert done.returncode == 3
    assert "moorage login" in done.stderr
    assert "moor_wrong" not in done.stderr + done.stdout


def test_a_list_is_read_page_by_page(server: MoorageServer, moorage: Run) -> None:
    server.page_size = 3
    for number in range(8):
        server.add("projects", name=f"p{number}")
    entries = json.loads(moorage("project", "list", "--json").stdout)
    assert [entry["name"] for entry in entries] == [f"p{number}" for number in reversed(range(8))]
    assert len(json.loads(moorage("project", "list", "--limit", "4", "--json").stdout)) == 4


def test_a_link_to_another_host_does_not_take_the_token_there(server: MoorageServer, moorage: Run) -> None:
    server.page_size, server.next_host = 1, "http://127.0.0.1:1"
    server.add("projects", name="a")
    server.add("projects", name="b")
    assert len(json.loads(moorage("project", "list", "--json").stdout)) == 2


def test_an_id_may_be_cut_and_a_name_may_stand_for_it(server: MoorageServer, moorage: Run) -> None:
    project = server.add("projects", name="beef")
    other = server.add("projects", name="x", id="beef0000-0000-4000-8000-000000000000")
    assert json.loads(moorage("project", "show", "beef", "--json").stdout)["id"] == project["id"]
    assert json.loads(moorage("project", "show", "BEEF0", "--json").stdout)["id"] == other["id"]


def test_an_ambiguous_beginning_is_not_guessed(server: MoorageServer, moorage: Run) -> None:
    for last in ("1", "2"):
        server.add_operation(id=f"abcd0000-0000-4000-8000-00000000000{last}")
    done = moorage("operation", "cancel", "abcd")
    assert done.returncode == 2
    assert "abcd0000-0000-4000-8000-000000000002" in done.stderr
    assert sent(server, "POST") == []


def test_an_unknown_name_is_refused_with_the_way_to_look(moorage: Run) -> None:
    done = moorage("project", "show", "nobody")
    assert done.returncode == 3
    assert "moorage project list" in done.stderr


def test_projects_are_changed_and_deleted(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="p", base_branch="main")
    assert moorage("project", "update", "p", "--base-branch", "trunk").returncode == 0
    assert server.collections["projects"][0]["base_branch"] == "trunk"
    assert moorage("project", "delete", "p", "--yes").returncode == 0
    assert server.collections["projects"] == []


def test_a_table_fits_the_width(server: MoorageServer, moorage: Run) -> None:
    for name in ("短い名前の船", "x" * 300, "e\u0301" * 50):
        server.add("projects", name=name, repository_url="https://example.org/" + "y" * 200, base_branch="main")
    lines = moorage("project", "list", COLUMNS="70").stdout.splitlines()
    assert len(lines) == 4
    wide = [len(line) + len(re.findall(r"[\u3000-\u9fff]", line)) - line.count("\u0301") for line in lines]
    assert max(wide) <= 70
    assert "…" in lines[1]
    assert "main" in lines[1]


def test_without_a_terminal_nothing_is_cut(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="x" * 300)
    assert "x" * 300 in moorage("project", "list").stdout


def test_a_reader_that_leaves_early_is_no_error(server: MoorageServer, environment: dict[str, str]) -> None:
    for _ in range(40):
        server.add("projects", name="x" * 4000)
    piped = ["bash", "-c", f"set -o pipefail; {sys.executable} -m cli.main project list | head -c 10"]
    done = subprocess.run(piped, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_terminal_without_utf_8_still_gets_the_words(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="failed", error={"code": "x", "detail": "größer"})
    done = moorage("operation", "watch", operation["id"], PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "failed" in done.stdout


def test_a_diff_is_printed_as_it_is_but_for_escape_sequences(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation()
    change = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\told\n+\tnew\x1b[2J\n"
    server.documents[f"operations/{operation['id']}/diff/"] = {"text": change, "truncated": False}
    text = moorage("operation", "diff", operation["id"]).stdout
    assert text == "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-\told\n+\tnew[2J\n"


def test_a_diff_that_was_cut_says_so(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation()
    server.documents[f"operations/{operation['id']}/diff/"] = {"text": "+a\n", "truncated": True}
    done = moorage("operation", "diff", operation["id"])
    assert done.stdout == "+a\n"
    assert "longer" in done.stderr


def test_an_empty_diff_prints_nothing_and_says_why(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation()
    server.documents[f"operations/{operation['id']}/diff/"] = {"text": "", "truncated": False}
    done = moorage("operation", "diff", operation["id"])
    assert (done.returncode, done.stdout) == (0, "")
    assert "no change yet" in done.stderr


def test_evidence_and_events_are_listed(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation()
    base = f"operations/{operation['id']}"
    server.documents[f"{base}/evidence/"] = [
        {"kind": "tests.run", "passed": True, "tree": "906fcf9c0d2156f7", "exit_code": 0, "counts": {"passed": 10}}
    ]
    server.documents[f"{base}/events/"] = {
        "results": [{"seq": 2, "kind": "b"}, {"seq": 1, "kind": "operation.submitted", "actor": "user:a"}]
    }
    assert re.search(
        r"✓ +tests\.run +906fcf9c0d +0 +10 passed", moorage("operation", "evidence", operation["id"]).stdout
    )
    lines = moorage("operation", "events", operation["id"], "--after", "3").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["SEQ", "1", "2"]
    assert any("after=3" in path for _, path, _, _ in server.requests)


def test_an_answer_is_sent(server: MoorageServer, moorage: Run) -> None:
    operation = server.add_operation(status="waiting")
    assert moorage("operation", "answer", operation["id"], "-", stdin="port 7\n").returncode == 0
    assert sent(server, "POST")[0][2] == {"text": "port 7\n"}


def test_an_agent_is_asked_for_with_its_capabilities(server: MoorageServer, moorage: Run) -> None:
    project = server.add("projects", name="p")
    given = ["--template", "python", "-p", "p", "--capability", "testing", "--capability", "development"]
    assert moorage("agent", "create", *given).returncode == 0
    body = {"template": "python", "project_id": project["id"], "capabilities": ["testing", "development"]}
    assert sent(server, "POST")[0][2] == body


def test_the_health_of_an_agent_shows_the_facts_behind_the_verdict(server: MoorageServer, moorage: Run) -> None:
    agent = server.add("agents", name="petrel")
    server.documents[f"agents/{agent['id']}/health/"] = {
        "verdict": "stuck",
        "cause": "no output for 9 min",
        "facts": [{"kind": "heartbeat", "ok": True, "observed_at": "2026-05-01T08:00:00Z", "detail": ""}],
    }
    text = moorage("agent", "health", "petrel").stdout
    assert "stuck: no output for 9 min" in text
    assert "heartbeat" in text


def test_a_template_name_is_one_segment_of_the_path(server: MoorageServer, moorage: Run) -> None:
    server.documents["templates/a%2F..%2Fb/resolved/"] = {"name": "odd"}
    assert json.loads(moorage("template", "resolved", "a/../b", "--explain").stdout) == {"name": "odd"}
    assert server.requests[-1][1].endswith("?explain=1")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"ok": True, "parts": [{"name": "database", "ok": True, "detail": "sqlite", "remedy": ""}]}, 0),
        ({"ok": False, "parts": [{"name": "redis", "ok": False, "detail": "away", "remedy": "start it"}]}, 1),
    ],
)
def test_doctor_says_part_by_part_whether_the_server_is_well(
    server: MoorageServer, moorage: Run, document: Any, code: int
) -> None:
    server.documents["health/"] = document
    done = moorage("doctor")
    assert done.returncode == code, done.stderr
    assert len(done.stdout.splitlines()) >= 2


def test_hosts_queues_agents_and_templates_are_listed(server: MoorageServer, moorage: Run) -> None:
    lent = {"capacity": {"slots": 4}, "reserved": {"slots": 1}, "draining_since": "2026-05-01T08:00:00Z"}
    server.add("hosts", name="node-1", verdict="alive", **lent)
    server.documents["queues/"] = [{"name": "coding", "waiting_operations": 3, "reasons": {"memory": 2, "slots": 1}}]
    server.add("agents", name="petrel", state="running", host="node-1")
    server.add("templates", name="python", extends=["base"])
    for noun, word in (
        ("host", "alive, draining"),
        ("host", " 1/4 "),
        ("queue", "memory 2, slots 1"),
        ("agent", "petrel"),
        ("template", "base"),
    ):
        assert word in moorage(noun, "list").stdout
        assert isinstance(json.loads(moorage(noun, "list", "--json").stdout), list)


def test_json_may_stand_before_the_command_too(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="p")
    assert json.loads(moorage("--json", "project", "list").stdout)[0]["name"] == "p"


def test_json_is_plain_ascii(server: MoorageServer, moorage: Run) -> None:
    server.add("projects", name="\x9b2J\u202eé")
    done = moorage("project", "list", "--json")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)[0]["name"] == "\x9b2J\u202eé"


def test_the_version_is_that_of_the_package(moorage: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert __version__ == project["version"]
    assert moorage("--version").stdout == f"moorage {__version__}\n"


def test_the_client_imports_no_room_and_no_django(environment: dict[str, str]) -> None:
    rooms = "config workers operations sessions agents templates_app resources events django"
    code = f"import sys, cli.main; print([n for n in {rooms.split()} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def commands(whole: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Every command of an argument parser, as it is typed."""
    groups = [action for action in whole._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    if not groups:
        return [" ".join(path)]
    return [name for word, below in groups[0].choices.items() for name in commands(below, (*path, word))]


def test_the_documentation_names_every_command_and_no_other() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `moorage ([a-z -]+?)(?: [A-Z\[-].*?)?` \|", text, re.M))
    assert documented == set(commands(parser()))


def test_the_fleet_is_paused_and_released_and_says_how_it_stands(server: MoorageServer, moorage: Run) -> None:
    server.documents["fleet/"] = {"paused": False, "since": None, "by": None, "reason": None}
    assert moorage("fleet", "status").stdout == "the fleet works\n"
    server.documents["fleet/"] = {"paused": True, "since": "2026-05-01T08:00:00Z", "by": "user:ada", "reason": "smoke"}
    assert "by user:ada: smoke" in moorage("fleet", "status").stdout
    assert moorage("fleet", "pause").returncode == 2
