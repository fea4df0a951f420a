"""Files on disk: what has changed there goes into force, or is refused with the last good one kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from templates_app import active, publish, watching
from templates_app.activation import Outcome
from templates_app.library import BUILT_IN
from templates_app.models import Activation, SeenFile, Template
from tests.templates_app.test_activation import BAD, sized, text

Sync = Callable[..., Outcome]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    directory = tmp_path / "templates"
    directory.mkdir()
    return directory


@pytest.fixture
def sync(own: Path) -> Sync:
    def run(host: str = "node-a", library: Path = BUILT_IN, directory: Path = own) -> Outcome:
        return watching.sync(host=host, directories=[library, directory])

    return run


def put(directory: Path, name: str, body: str = "", **more: str) -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(text(name, body, **more), "utf-8")
    return path


@pytest.mark.django_db
class TestSync:
    def test_the_first_look_takes_the_library_and_the_second_finds_nothing_new(self, sync: Sync) -> None:
        assert "base" in sync().changed
        assert sync() == Outcome()
        assert Activation.objects.count() == 1

    def test_a_changed_file_goes_into_force_without_a_new_version_number(self, sync: Sync, own: Path) -> None:
        put(own, "dock")
        sync()
        put(own, "dock", sized(99))
        assert sync().changed == ("dock",)
        assert active.resolved("dock").spec["size"]["pids"] == 99  # type: ignore[index,call-overload]

    def test_a_broken_change_keeps_the_good_one_until_it_is_mended(self, sync: Sync, own: Path) -> None:
        put(own, "dock", sized(99))
        sync()
        (own / "dock.yaml").write_text("name: [")
        assert set(sync().refused) == {"dock"}
        assert active.resolved("dock").spec["size"]["pids"] == 99  # type: ignore[index,call-overload]
        assert Template.objects.get(name="dock").refused["errors"][0]["line"] >= 1
        put(own, "dock", sized(99))  # back to what was there: no activation, but the note goes
        assert sync().changed == ()
        assert Template.objects.get(name="dock").refused is None

    def test_a_change_that_breaks_an_heir_is_refused_and_tried_again_when_the_heir_changes(
        self, sync: Sync, own: Path
    ) -> None:
        put(own, "mid")
        put(own, "heir", "spec: {engine: {max_attempts: 5}}\n", extends="mid")
        sync()
        put(own, "mid", "final: [engine.max_attempts]\n")
        assert set(sync().refused) == {"mid"}
        put(own, "heir", extends="mid")
        assert set(sync().changed) == {"mid", "heir"}

    def test_a_child_that_came_before_its_parent_is_taken_when_that_arrives(self, sync: Sync, own: Path) -> None:
        put(own, "child", extends="parent")
        assert set(sync().refused) == {"child"}
        put(own, "parent")
        assert set(sync().changed) == {"child", "parent"}

    def test_a_file_that_goes_takes_its_template_along_unless_others_build_on_it(self, sync: Sync, own: Path) -> None:
        put(own, "mid")
        put(own, "heir", extends="mid")
        sync()
        (own / "mid.yaml").unlink()
        assert set(sync().refused) == {"mid"}
        assert "mid" in active.templates().documents
        (own / "heir.yaml").unlink()
        assert set(sync().changed) == {"heir", "mid"}
        assert not {"mid", "heir"} & set(active.templates())
        assert not SeenFile.objects.filter(name__in=["mid", "heir"]).exists()

    def test_an_own_file_goes_over_a_shipped_one_and_back(self, sync: Sync, own: Path) -> None:
        sync()
        put(own, "python", sized(99), version="1.0.0")
        assert sync().changed == ("python",)
        assert Template.objects.get(name="python").source == "file"
        (own / "python.yaml").unlink()
        assert sync().changed == ("python",)
        assert Template.objects.get(name="python").source == "library"

    def test_a_host_that_comes_late_takes_nothing_back(self, sync: Sync, own: Path, tmp_path: Path) -> None:
        sync()
        publish.publish(text("python", sized(99), version="3.0.0"), actor="user:ada")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        assert sync(host="node-b", directory=elsewhere).changed == ()
        assert active.templates()["python"].version == "3.0.0"
        assert SeenFile.objects.get(host="node-b", name="python").verdict == "older"
        put(elsewhere, "python", sized(98), version="3.1.0")
        assert sync(host="node-b", directory=elsewhere).changed == ("python",)
        assert sync().changed == ()  # and the first host, whose files are as they were, does not object

    def test_a_file_of_another_host_is_not_missed_here(self, sync: Sync, own: Path, tmp_path: Path) -> None:
        put(own, "dock")
        sync()
        empty = tmp_path / "empty"
        empty.mkdir()
        for _ in range(2):
            assert sync(host="node-b", directory=empty).changed == ()
        assert "dock" in active.templates()

    def test_a_published_version_outlives_the_file_that_was_there_before(self, sync: Sync, own: Path) -> None:
        put(own, "dock")
        sync()
        publish.publish(text("dock", sized(99), version="2.0.0"), actor="user:ada")
        assert sync().changed == ()
        (own / "dock.yaml").unlink()
        assert sync().changed == ()
        assert active.templates()["dock"].version == "2.0.0"

    def test_a_refused_file_that_becomes_sound_takes_nothing_back_that_was_published(
        self, sync: Sync, own: Path
    ) -> None:
        put(own, "dock", extends="nowhere")
        assert set(sync().refused) == {"dock"}
        publish.publish(text("dock", sized(99), version="2.0.0"), actor="user:ada")
        put(own, "nowhere")
        assert sync().changed == ("nowhere",)
        assert active.templates()["dock"].version == "2.0.0"
        put(own, "dock", sized(98), version="2.0.0")  # but who changes the file means it
        assert sync().changed == ("dock",)

    def test_two_hundred_files_are_one_activation(self, sync: Sync, own: Path) -> None:
        sync()
        for number in range(200):
            put(own, f"t{number}", extends="base" if number % 10 == 0 else f"t{number - number % 10}")
        assert len(sync().changed) == 200
        assert Activation.objects.count() == 2

    def test_odd_files_are_refused_by_a_name_that_fits_and_disturb_nobody(self, sync: Sync, own: Path) -> None:
        for name in ("Ünsound name", "x" * 200, "a;b", "-"):
            (own / f"{name}.yaml").write_text(text("dock"))
        (own / "nul.yaml").write_bytes(text("nul").encode() + b"\0")
        os.mkfifo(own / "pipe.yaml")
        (own / ".hidden.yaml").write_text(text("hidden"))
        outcome = sync()
        assert "base" in outcome.changed
        assert len(outcome.refused) == 6
        assert all(len(name) <= 63 and name.isascii() for name in outcome.refused)

    def test_a_sound_text_that_does_not_resolve_is_refused_with_its_place(self, sync: Sync, own: Path) -> None:
        put(own, "dock", BAD)
        error = sync().refused["dock"].errors[0]
        assert (error.file, error.line) == ("dock.yaml", 7)


@pytest.fixture
def watcher(transactional_db: None, own: Path) -> Iterator[Callable[[], None]]:
    """Starts a thread that watches as the worker's does; it is over when the test is."""
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def run() -> None:
        try:
            watching.watch(stop, host="node-a", directories=[BUILT_IN, own])
        finally:
            connection.close()

    def start() -> None:
        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never became true")


def test_the_watcher_takes_files_as_they_come_change_and_go(watcher: Callable[[], None], own: Path) -> None:
    watcher()
    until(lambda: active.number() == 1)
    put(own, "dock")
    until(lambda: "dock" in active.templates())
    fresh = own / ".dock.new"  # as editors do it
    fresh.write_text(text("dock", sized(99)))
    os.replace(fresh, own / "dock.yaml")
    until(lambda: active.resolved("dock").spec["size"]["pids"] == 99)  # type: ignore[index,call-overload]
    (own / "dock.yaml").unlink()
    until(lambda: "dock" not in active.templates())


def test_the_watcher_survives_a_directory_that_goes_and_comes_back(watcher: Callable[[], None], own: Path) -> None:
    put(own, "dock")
    watcher()
    until(lambda: "dock" in active.templates())
    (own / "dock.yaml").unlink()
    own.rmdir()
    until(lambda: "dock" not in active.templates())
    own.mkdir()
    put(own, "quay")
    until(lambda: "quay" in active.templates())
