"""What tests need of this machine, and how that is said.

A marker ``needs_x`` is looked up in NEEDS: where the need is missing, the test is deselected and named in the closing
lines; with ``CI=true`` a missing need is a failure.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection
from django.db.models.signals import post_migrate

from events import receipts
from tests.fakes import tied
from tests.fakes.redis_process import redis_process, redis_url

__all__ = ["redis_process", "redis_url"]  # here and nowhere else: imported twice, there would be two of them

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright keeps a loop running in the test thread


def _has_docker() -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(2)
            engine.connect("/var/run/docker.sock")
    except OSError:
        return False
    return True


def _has_landlock() -> bool:
    create_ruleset, version_query = 444, 1
    return ctypes.CDLL(None, use_errno=True).syscall(create_ruleset, None, 0, version_query) > 0


def _has_loop_devices() -> bool:
    programs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") and shutil.which("mount")
    return bool(programs) and os.geteuid() == 0 and os.access("/dev/loop-control", os.W_OK)


def _has_postgres_programs() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def _has_chromium() -> bool:
    return shutil.which("chromium") is not None


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "needs_redis": (lambda: True, "redis-server"),  # the bundled one is part of the lock
    "needs_postgres": (lambda: bool(os.environ.get("MOORAGE_TEST_POSTGRES_URL")), "MOORAGE_TEST_POSTGRES_URL"),
    "needs_postgres_programs": (_has_postgres_programs, "Debian's postgresql"),
    "needs_docker": (_has_docker, "a Docker engine"),
    "needs_bubblewrap": (lambda: shutil.which("bwrap") is not None, "bubblewrap"),
    "needs_landlock": (_has_landlock, "a kernel with Landlock"),
    "needs_loop_devices": (_has_loop_devices, "root, loop devices and mkfs.ext4"),
    "needs_root": (lambda: os.geteuid() == 0, "root"),
    "needs_chromium": (_has_chromium, "Debian's chromium"),
}
_missing: dict[str, int] = {}

# Rooms whose tests run stacks, browsers and whole operations: begun with, for no worker shall be left alone with one.
LONGEST_FIRST = ("faults", "flows", "browser", "config", "sessions", "cli")


def pytest_configure() -> None:
    """A password's million rounds are a third of a second for each person that a test makes."""
    django_settings.PASSWORD_HASHERS = ["tests.fakes.passwords.FewRounds", *django_settings.PASSWORD_HASHERS[1:]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = {name: probe() for name, (probe, _) in NEEDS.items()}
    lacking = {name for name, found in here.items() if not found}
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        wanted = {mark.name for mark in item.iter_markers()} & lacking
        for name in wanted:
            _missing[name] = _missing.get(name, 0) + 1
        (dropped if wanted else kept).append(item)
    if dropped and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"CI provides every need, but these are missing: {', '.join(sorted(_missing))}")
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=_rank)


def _rank(item: pytest.Item) -> int:
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONGEST_FIRST.index(room) if room in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """What this process delivered is cleared away while the test's database is still there."""
    receipts.hand_in()


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told at once: a run that is cut off never comes to its summary."""
    if report.failed and os.environ.get("CI") == "true" and "PYTEST_XDIST_WORKER" not in os.environ:
        last = report.longreprtext.strip().splitlines()[-12:]
        sys.__stdout__.write("\n".join(["", f"FAILED {report.nodeid} ({report.when})", *last, ""]))  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, count in sorted(_missing.items()):
        terminalreporter.write_line(f"not run here: {count} tests marked {name} ({NEEDS[name][1]} is missing)")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """The flush between transactional tests deletes rows, which the journal's trigger refuses on SQLite.

    Threads of a test's own, and of Channels, keep their connections: PostgreSQL would not drop a database under them.
    """
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        if connection.vendor == "sqlite":
            connection.cursor().execute("DROP TRIGGER IF EXISTS events_event_no_delete")
        _keep_permissions()
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        if connection.vendor == "postgresql":
            connection.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _keep_permissions() -> None:
    """That flush takes content types and permissions, too: they are put back as they were, not made one by one."""
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.management import create_contenttypes
    from django.contrib.contenttypes.models import ContentType

    types, permissions = list(ContentType.objects.all()), list(Permission.objects.all())

    def put_back(using: str, **_of_the_signal: object) -> None:
        ContentType.objects.using(using).bulk_create(types, ignore_conflicts=True)
        Permission.objects.using(using).bulk_create(permissions, ignore_conflicts=True)

    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.connect(put_back, sender=apps.get_app_config("auth"), weak=False)


@pytest.fixture(scope="session", autouse=True)
def nothing_stays_mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A test that failed, or that kills what would clean up, leaves workspaces mounted: pytest cannot remove those.

    Nor can the next session's, whose end that would be: a session that is killed unmounts them, too.
    """
    janitor = tied.Janitor(tmp_path_factory.getbasetemp(), removes=False)
    yield
    janitor.dismiss()


@pytest.fixture
def data_directory(tmp_path: Path, settings: object) -> Path:
    """MOORAGE_DATA of one test: vaults, workspaces and logs beneath a temporary directory; and an install of its own,
    for the engine is shared by all who test on this machine."""
    settings.INSTALL_ID = f"test-{uuid.uuid4()}"  # type: ignore[attr-defined]
    settings.DATA = tmp_path / "data"  # type: ignore[attr-defined]
    settings.DATA.mkdir()  # type: ignore[attr-defined]
    return settings.DATA  # type: ignore[attr-defined]
