"""Drafts: texts that are worked on before they go into force. One per name; the last save wins only knowingly."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from events.faults import Fault
from templates_app import publish
from templates_app.documents import Document
from templates_app.models import Draft
from templates_app.schema import matches, template_schema
from templates_app.yaml_text import MAX_BYTES


class DraftNotFound(Fault):
    """Nobody works on this template."""

    code = "template.draft_not_found"
    http_status = 404
    remedy = "Save one first, by PUT to the same address."


class DraftMoved(Fault):
    """Somebody else has saved in between."""

    code = "template.draft_moved"
    http_status = 409
    remedy = "Load the draft again, and put your change into it."


class BadDraft(Fault):
    """What cannot even be a draft."""

    code = "template.bad_draft"
    remedy = "Name it with small letters, digits and dashes, at most 256 KiB of text without NUL."


def load(name: str) -> Draft:
    """The draft of a name. Raises DraftNotFound."""
    draft = Draft.objects.filter(name=name).first()
    if draft is None:
        raise DraftNotFound(f"there is no draft of {name!r}")
    return draft


def save(name: str, text: str, *, actor: str, revision: int | None = None) -> Draft:
    """Keep a text, right or wrong. ``revision`` is the one it was made from, 0 for "there was none".

    Raises DraftMoved where another revision stands now; without ``revision`` the last one wins.
    """
    if not matches(template_schema()["properties"]["name"]["pattern"], name):
        raise BadDraft(f"{name[:80]!r} cannot be the name of a template", pointer="/name")
    if "\0" in text or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES or _torn(text):
        raise BadDraft("the text holds a NUL or half of a surrogate pair, or is too long", pointer="/text")
    with transaction.atomic():
        draft = Draft.objects.select_for_update().filter(name=name).first()
        stands = draft.revision if draft else 0
        if revision is not None and revision != stands:
            raise DraftMoved(f"the draft of {name} is at revision {stands}, not {revision}", pointer="/revision")
        draft = draft or Draft(name=name, revision=0)
        draft.text, draft.revision = text, stands + 1
        draft.edited_by, draft.edited_at = actor[:150], timezone.now()
        draft.save(force_insert=not stands)
    return draft


def discard(name: str) -> None:
    """Forget a draft; one that is gone already is fine."""
    Draft.objects.filter(name=name).delete()


def publish_draft(name: str, *, actor: str) -> Document:
    """Put the draft into force. It is gone then, unless somebody has saved it again meanwhile."""
    draft = load(name)
    document = publish.publish(draft.text, actor=actor, name=name)
    Draft.objects.filter(name=name, revision=draft.revision).delete()
    return document


def _torn(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
