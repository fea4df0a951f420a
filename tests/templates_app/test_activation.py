"""What goes into force goes as one, and what would break something does not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from events.models import Event
from templates_app import active, publish, verdicts
from templates_app.activation import Change, activate
from templates_app.documents import Document, parse
from templates_app.faults import TemplateFault, TemplateNotFound
from templates_app.models import Activation, Source, Template, Version
from templates_app.resolve import resolve

HEAD = "apiVersion: moorage/v1\nkind: Template\n"


def text(name: str, body: str = "", *, version: str = "1.0.0", extends: str = "base") -> str:
    over = f"extends: {extends}\n" if extends else ""
    return f"{HEAD}name: {name}\nversion: {version}\n{over}{body}"


BAD = 'variables: {N: {type: integer, default: 1}}\nspec: {size: {pids: "${N}"}}\n'  # sound until it is resolved


def sized(pids: int) -> str:
    return f"spec: {{size: {{pids: {pids}}}}}\n"


def documents(*texts: str) -> dict[str, Document]:
    found = [parse(one, file="x.yaml") for one in texts]
    return {one.name: one for one in found}


BASE = (Path(__file__).parents[2] / "templates_app" / "library" / "base.yaml").read_text("utf-8")


class TestVerdict:
    def judged(self, before: Sequence[str], *changes: str, gone: Sequence[str] = ()) -> verdicts.Verdict:
        changed: dict[str, Document | None] = {**documents(*changes), **dict.fromkeys(gone)}
        return verdicts.judge(documents(BASE, *before), changed)

    def test_a_change_that_breaks_an_heir_is_refused_and_names_it(self) -> None:
        heir = text("heir", "spec: {engine: {max_attempts: 5}}\n", extends="mid")
        verdict = self.judged([text("mid"), heir], text("mid", "final: [engine.max_attempts]\n", version="2.0.0"))
        assert verdict.accepted == {}
        (error,) = verdict.refused["mid"].errors
        assert (error.code, error.template) == ("breaks_heir", "mid")
        assert "heir" in error.message

    def test_changing_parent_and_heir_together_is_fine(self) -> None:
        heir = text("heir", "spec: {engine: {max_attempts: 5}}\n", extends="mid")
        verdict = self.judged(
            [text("mid"), heir], text("mid", "final: [engine.max_attempts]\n"), text("heir", extends="mid")
        )
        assert (set(verdict.accepted), verdict.refused) == ({"mid", "heir"}, {})

    def test_one_bad_change_does_not_hold_up_the_others(self) -> None:
        verdict = self.judged([text("mid")], text("mid", sized(99)), text("bad", BAD), text("good", extends="mid"))
        assert (set(verdict.accepted), set(verdict.refused)) == ({"mid", "good"}, {"bad"})

    def test_a_sound_child_of_a_bad_change_goes_over_the_parent_that_was_there(self) -> None:
        verdict = self.judged([text("mid")], text("mid", BAD), text("child", sized(50), extends="mid"))
        assert (set(verdict.accepted), set(verdict.refused)) == ({"child"}, {"mid"})

    def test_templates_that_extend_each_other_are_refused_together(self) -> None:
        verdict = self.judged([], text("one", extends="two"), text("two", extends="one"), text("three"))
        assert (set(verdict.accepted), set(verdict.refused)) == ({"three"}, {"one", "two"})

    def test_what_was_broken_before_holds_nothing_up(self) -> None:
        broken = text("broken", extends="nowhere")
        verdict = self.judged([broken, text("mid")], text("mid", sized(70)))
        assert set(verdict.accepted) == {"mid"}

    def test_one_that_others_build_on_cannot_go_but_may_go_with_them(self) -> None:
        before = [text("mid"), text("heir", extends="mid")]
        assert set(self.judged(before, gone=["mid"]).refused) == {"mid"}
        assert set(self.judged(before, gone=["mid", "heir"]).accepted) == {"mid", "heir"}


@pytest.mark.django_db
class TestActivation:
    def put(self, *texts: str, whole: bool = False) -> Any:
        changes = {one.name: Change(one, t, Source.PUBLISHED) for t in texts for one in documents(t).values()}
        return activate(changes, actor="user:ada", whole=whole)

    def test_before_the_first_one_the_files_count(self, settings: Any, tmp_path: Path) -> None:
        (tmp_path / "own.yaml").write_text(text("own"))
        settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], tmp_path]
        assert "own" in active.templates()
        assert active.number() == 0
        assert active.text_of("own") == text("own")

    def test_publishing_brings_what_lies_on_disk_along_as_an_activation_of_its_own(self, settings: Any) -> None:
        publish.publish(text("dock"), actor="user:ada")
        assert {"base", "python", "dock"} <= set(active.templates().documents)
        actors = [row.actor for row in Activation.objects.order_by("number")]
        assert actors == [f"host:{settings.HOST_NAME}", "user:ada"]
        assert Template.objects.get(name="dock").source == "published"
        assert Template.objects.get(name="base").source == "library"

    def test_two_hundred_changes_are_one_activation_and_one_event(self) -> None:
        self.put(BASE)
        outcome = self.put(*(text(f"t{n}") for n in range(200)))
        assert len(outcome.changed) == 200
        assert Activation.objects.count() == 2
        told = Event.objects.filter(kind="templates.activated").latest("id")
        assert (told.topic, told.data["count"], told.data["activation"]) == ("library.templates", 200, outcome.number)

    def test_a_version_cannot_be_changed_by_anybody(self) -> None:
        self.put(BASE)
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            Version.objects.update(text="x")

    def test_the_same_again_is_no_activation(self) -> None:
        self.put(BASE)
        assert self.put(BASE).number is None
        assert Activation.objects.count() == 1

    def test_a_refused_change_leaves_the_good_one_with_a_note_and_one_event(self) -> None:
        self.put(BASE, text("mid"))
        for _ in range(2):
            assert set(self.put(text("mid", BAD, version="1.1.0")).refused) == {"mid"}
        row = Template.objects.get(name="mid")
        assert row.current is not None
        assert row.current.version == "1.0.0"
        assert row.refused["errors"][0]["path"] == "spec.size.pids"
        assert Event.objects.filter(kind="template.refused", topic="template.mid").count() == 1
        self.put(text("mid", sized(90), version="1.2.0"))
        assert Template.objects.get(name="mid").refused is None

    def test_one_that_never_was_sound_is_broken_and_not_unknown(self) -> None:
        self.put(BASE, text("bad", BAD))
        assert set(active.templates().broken) == {"bad"}
        with pytest.raises(TemplateFault, match="pids"):
            active.resolved("bad")

    def test_one_that_was_taken_away_is_unknown(self) -> None:
        self.put(BASE, text("mid"))
        activate({"mid": Change(None, "", Source.FILE)}, actor="host:a")
        with pytest.raises(TemplateNotFound):
            active.resolved("mid")
        assert Version.objects.filter(name="mid").count() == 1  # what agents wear of it can still be compared

    def test_whole_changes_leave_no_note(self) -> None:
        self.put(BASE)
        with pytest.raises(TemplateFault):
            self.put(text("bad", BAD), whole=True)
        assert not Template.objects.filter(name="bad").exists()


@pytest.mark.django_db(transaction=True)
def test_activations_at_once_all_arrive_and_none_is_judged_against_the_past() -> None:
    changes = documents(BASE)
    activate({"base": Change(changes["base"], BASE, Source.LIBRARY)}, actor="system")
    start, troubles = threading.Barrier(4), list[BaseException]()

    def put(n: int) -> None:
        start.wait()
        try:
            publish.publish(text(f"t{n}"), actor=f"user:{n}")
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            troubles.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert {f"t{n}" for n in range(4)} <= set(active.templates().documents)
    assert list(Activation.objects.values_list("number", flat=True)) == [5, 4, 3, 2, 1]


@pytest.mark.django_db
def test_a_version_is_named_by_the_digest_that_a_resolved_template_records() -> None:
    publish.publish(text("dock"), actor="user:ada")
    layers = active.resolved("dock").layers
    assert [layer.digest for layer in layers] == [Version.objects.get(name=layer.name).digest for layer in layers]
    assert resolve("dock", active.templates()).layers == layers


@pytest.mark.django_db
class TestPublishing:
    def test_a_version_number_is_given_once(self) -> None:
        publish.publish(text("dock"), actor="user:ada")
        publish.publish(text("dock", version="1.1.0"), actor="user:ada")
        with pytest.raises(publish.TemplateExists):
            publish.publish(text("dock", sized(77)), actor="user:ada")

    def test_an_earlier_version_can_be_put_into_force_again(self) -> None:
        first = publish.publish(text("dock"), actor="user:ada")
        publish.publish(text("dock", sized(77), version="1.1.0"), actor="user:ada")
        publish.return_to(first.digest[:12], name="dock", actor="user:ada")
        assert active.templates()["dock"].version == "1.0.0"
        for wrong in ("", first.digest[:3], "f" * 64):
            with pytest.raises(publish.VersionNotFound):
                publish.return_to(wrong, name="dock", actor="user:ada")

    def test_deprecation_is_said_and_taken_back_and_the_template_works_on(self) -> None:
        publish.deprecate("python", actor="user:ada", reason="old", replaced_by="python-web")
        row = Template.objects.get(name="python")
        assert (row.deprecated_at is not None, row.deprecation, row.replaced_by) == (True, "old", "python-web")
        assert active.resolved("python").name == "python"
        publish.restore("python", actor="user:ada")
        assert Template.objects.get(name="python").deprecated_at is None
        with pytest.raises(TemplateNotFound, match="Did you mean 'python'"):
            publish.deprecate("pyton", actor="user:ada")
        with pytest.raises(publish.TemplateReplaced):
            publish.deprecate("python", actor="user:ada", replaced_by="python")
