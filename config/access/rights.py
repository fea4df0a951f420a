"""Rights that change: whatever changes them in the database has the user's open streams prove theirs again.

By signals, because users, groups and permissions are Django's own rows and are written by Django's own forms.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.utils import timezone

from config.access.models import ApiToken
from events import policy

_NO_RIGHTS = frozenset({"last_login"})  # what signing in writes
_CHANGED = frozenset({"post_add", "post_remove", "post_clear"})


def watch() -> None:
    """Connect the signals. Twice is fine: each has its own uid."""
    user = get_user_model()
    connected: list[tuple[Any, Any, Any]] = [
        (post_save, _user_saved, user), (post_delete, _user_deleted, user), (post_delete, _session_ended, Session),
        (m2m_changed, _membership_changed, user.groups.through),
        (m2m_changed, _membership_changed, user.user_permissions.through),
        (m2m_changed, _group_changed, Group.permissions.through), (pre_delete, _group_deleted, Group),
        (post_save, _token_saved, ApiToken), (post_delete, _token_deleted, ApiToken),
    ]  # fmt: skip
    for signal, receiver, sender in connected:
        signal.connect(receiver, sender=sender, dispatch_uid=f"{receiver.__name__}:{sender.__name__}")


def revoke_token(token: ApiToken) -> bool:
    """End a token now, and the streams that it opened; False when it had been revoked before."""
    with transaction.atomic():
        count = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
        if count:
            policy.revoke(token.user_id, reason="a token was revoked")
    return bool(count)


def _user_saved(
    instance: Any, created: bool, raw: bool = False, update_fields: frozenset[str] | None = None, **_newer: Any
) -> None:
    if not created and not raw and not (update_fields and set(update_fields) <= _NO_RIGHTS):
        policy.revoke(instance.pk, reason="the user was changed")


def _user_deleted(instance: Any, **_newer: Any) -> None:
    policy.revoke(instance.pk, reason="the user was deleted")


def _session_ended(instance: Session, **_newer: Any) -> None:
    """Not by the signal of signing out: it comes while the session is still there."""
    user_id = instance.get_decoded().get(SESSION_KEY)
    if user_id is not None and instance.expire_date > timezone.now():  # one that expired may be cleared in silence
        policy.revoke(user_id, reason="signed out")


def _membership_changed(
    instance: Any, action: str, reverse: bool, pk_set: set[int] | None = None, **_newer: Any
) -> None:
    """From the user's side, or from the group's or permission's, whose list says who came or went."""
    if reverse and action == "pre_clear":  # afterwards nobody could say who it was
        _revoke_all(instance.user_set.values_list("pk", flat=True))
    elif action in _CHANGED:
        _revoke_all((pk_set or ()) if reverse else (instance.pk,))


def _group_changed(instance: Any, action: str, reverse: bool, pk_set: set[int] | None = None, **_newer: Any) -> None:
    if reverse and action == "pre_clear":
        groups = list(instance.group_set.values_list("pk", flat=True))
    elif action in _CHANGED:
        groups = list(pk_set or ()) if reverse else [instance.pk]
    else:
        return
    _revoke_all(get_user_model().objects.filter(groups__in=groups).values_list("pk", flat=True).distinct())


def _group_deleted(instance: Group, **_newer: Any) -> None:
    _revoke_all(get_user_model().objects.filter(groups=instance).values_list("pk", flat=True))


def _token_saved(instance: ApiToken, created: bool, **_newer: Any) -> None:
    if not created:
        policy.revoke(instance.user_id, reason="a token was changed")


def _token_deleted(instance: ApiToken, **_newer: Any) -> None:
    policy.revoke(instance.user_id, reason="a token was deleted")


def _revoke_all(user_ids: Any) -> None:
    for user_id in list(user_ids):
        policy.revoke(user_id, reason="groups or permissions changed")
