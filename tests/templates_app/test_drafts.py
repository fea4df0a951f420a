"""Drafts: kept right or wrong, saved knowingly, published as a whole."""

from __future__ import annotations

import pytest

from templates_app import active, drafts
from templates_app.faults import TemplateFault
from templates_app.models import Draft
from tests.templates_app.test_activation import sized, text

pytestmark = pytest.mark.django_db


def save(body: str, *, name: str = "dock", revision: int | None = None) -> Draft:
    return drafts.save(name, body, actor="user:ada", revision=revision)


def test_a_wrong_text_is_kept_and_not_published() -> None:
    save("name: [")
    with pytest.raises(TemplateFault):
        drafts.publish_draft("dock", actor="user:ada")
    assert drafts.load("dock").text == "name: ["
    assert "dock" not in active.templates()


def test_publishing_puts_it_into_force_and_ends_the_draft() -> None:
    save(text("dock"))
    drafts.publish_draft("dock", actor="user:ada")
    assert active.text_of("dock") == text("dock")
    with pytest.raises(drafts.DraftNotFound):
        drafts.load("dock")


def test_a_draft_of_another_name_is_not_published_as_this_one() -> None:
    save(text("quay"))
    with pytest.raises(TemplateFault, match="quay"):
        drafts.publish_draft("dock", actor="user:ada")


def test_who_saves_over_somebody_else_is_told() -> None:
    assert save("one", revision=0).revision == 1
    with pytest.raises(drafts.DraftMoved):
        save("two", revision=0)
    assert save("two", revision=1).revision == 2
    assert save("three").revision == 3
    assert drafts.load("dock").text == "three"


@pytest.mark.parametrize("name", ["", "../x", "Dock", "a b", "x" * 64, "dock\n"])
def test_a_name_that_no_template_can_have_is_refused(name: str) -> None:
    with pytest.raises(drafts.BadDraft):
        save("x", name=name)


@pytest.mark.parametrize("body", ["a\0b", "\ud800", "x" * 300_000])
def test_a_text_that_no_row_can_hold_is_refused(body: str) -> None:
    with pytest.raises(drafts.BadDraft):
        save(body)


def test_discarding_twice_is_fine() -> None:
    save(text("dock", sized(50)))
    drafts.discard("dock")
    drafts.discard("dock")
    assert not Draft.objects.exists()
