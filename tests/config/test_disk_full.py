"""A full disk: named as such, with what helps, on a real file system that has no room left."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from config import health, problems
from tests import factories

pytestmark = pytest.mark.django_db


def disk() -> health.Part:
    return next(part for part in health.parts() if part.name == "disk")


def test_what_is_free_is_said_and_little_of_it_is_a_matter_with_its_remedy(admin_client: Client, settings: Any) -> None:
    assert disk().ok
    host = factories.host("node-9")
    host.facts = {**host.facts, "disk_free_mb": 7}
    host.save()
    part = disk()
    assert (part.ok, part.detail) == (False, "nearly full: 7 MB free on node-9")
    assert "7 MB free on node-9" in admin_client.get("/admin/").content.decode()
    assert "Free some space" in part.remedy


def full(where: Path) -> OperationalError:
    """What SQLite says when its file cannot grow."""
    with sqlite3.connect(where / "small.sqlite3") as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    return OperationalError(str(caught.value))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [("", 507, "disk is full"), ("unable to open database file", 503, "database"),
     ("could not extend file: No space left on device", 507, "disk is full")],
)  # fmt: skip
def test_a_database_that_cannot_write_or_is_away_is_no_riddle(
    tmp_path: Path, words: str, status: int, said: str
) -> None:
    error = OperationalError(words) if words else full(tmp_path)
    for path in ("/admin/login/", "/api/v1/operations/"):
        try:
            raise error
        except OperationalError:
            answer = problems.server_error(RequestFactory().post(path))
        assert (answer.status_code, answer["Retry-After"] != "") == (status, True)
        assert said in answer.content.decode()


def test_whatever_else_breaks_is_not_blamed_on_the_database() -> None:
    try:
        raise KeyError("x")
    except KeyError:
        assert problems.server_error(RequestFactory().get("/admin/")).status_code == 500
