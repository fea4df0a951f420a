"""Other users of the machine, berths' own among them, cannot read what the database holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

pytestmark = pytest.mark.django_db  # what opens databases here has to say so


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def opened(path: Path) -> BaseDatabaseWrapper:
    """The database there, by the settings that SQLite has with us."""
    options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"}
    handler = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options}})
    connection: BaseDatabaseWrapper = handler["default"]
    connection.ensure_connection()
    return connection


def modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


@pytest.mark.parametrize("before", ["nothing", "a database that everybody reads"])
def test_sqlite_s_files_are_the_service_s_alone(tmp_path: Path, usual_umask: None, before: str) -> None:
    path = tmp_path / "moorage.sqlite3"
    if before != "nothing":
        path.touch(0o644)
    connection = opened(path)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE secrets (word TEXT)")
    assert set(modes(tmp_path).values()) == {0o600}
    assert set(modes(tmp_path)) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    connection.close()


def test_a_database_in_memory_has_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened(Path(":memory:")).close()
    assert modes(tmp_path) == {}
