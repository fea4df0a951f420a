"""What only PostgreSQL can show: our migrations and our triggers on a database of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.needs_postgres

RECORD = """
from django.db import transaction
from events.journal import record
with transaction.atomic():
    print(record("berth.moved", "berth.1", actor="system").seq, record("berth.moved", "berth.1", actor="system").seq)
"""


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A new, empty database of the server at MOORAGE_TEST_POSTGRES_URL."""
    server = os.environ["MOORAGE_TEST_POSTGRES_URL"]
    name = f"moorage_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def migrated(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    environment = {
        **os.environ,
        "MOORAGE_DATABASE_URL": database_url,
        "MOORAGE_DATA": str(tmp_path_factory.mktemp("data")),
        "MOORAGE_REDIS_URL": "unix:///nonexistent/redis.sock",
    }
    for arguments in (["migrate", "--verbosity=0"], ["shell", "--no-imports", "-c", RECORD]):
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "2"]
    return database_url


@pytest.mark.parametrize("statement", ["UPDATE events_event SET actor = 'me'", "DELETE FROM events_event"])
def test_the_database_itself_refuses_to_change_the_journal(migrated: str, statement: str) -> None:
    with psycopg.connect(migrated) as connection:
        with pytest.raises(psycopg.errors.IntegrityError, match="append-only"):
            connection.execute(statement)
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM events_event").fetchone() == (2,)


def test_a_second_live_lease_of_one_port_is_refused_by_the_database(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        index = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'one_holder_per_key'").fetchone()
    assert index is not None
    assert "UNIQUE" in index[0]
    assert "WHERE" in index[0]
