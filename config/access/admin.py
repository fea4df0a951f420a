"""API tokens in the console: issue one and see it once, list them, revoke them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from config.access import rights
from config.access.models import ApiToken, Scope, digest_of, issue

admin.site.unregister([Group, get_user_model()])


@admin.register(Group)
class PlainGroupAdmin(GroupAdmin):
    """Rights as one plain list: what Django draws beside it cannot be read aloud."""

    filter_horizontal = ()


@admin.register(get_user_model())
class PlainUserAdmin(UserAdmin):
    """Likewise."""

    filter_horizontal = ()


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Everyone sees and issues tokens of their own; a superuser those of all."""

    list_display = ("hint", "user", "name", "scope", "state", "created_at", "expires_at")
    list_filter = ("scope",)
    list_select_related = ("user",)
    search_fields = ("name", "hint", "user__username")
    fields = ("user", "name", "scope", "expires_at")
    actions = ("revoke",)

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        """valid, expired or revoked."""
        if token.revoked_at is not None:
            return "revoked"
        return "valid" if token.valid(now=timezone.now()) else "expired"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens = ApiToken.objects.all()
        return tokens if request.user.is_superuser else tokens.filter(user__in=[request.user.pk])

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False  # a token is issued or revoked, never rewritten

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """The action's permission: what would be "change" elsewhere."""
        return request.user.has_perm("access.change_apitoken")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user" and field is not None:
            field.initial = request.user.pk
            if not request.user.is_superuser:  # a token of somebody else would carry that person's rights
                field.queryset = get_user_model().objects.filter(pk__in=[request.user.pk])
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "expires_at" and field is not None:  # two fields under one label
            for part, words in zip(field.widget.widgets, ("Expires, date", "Expires, time"), strict=True):
                part.attrs["aria-label"] = words
        return field

    def save_model(self, request: HttpRequest, obj: ApiToken, form: ModelForm, change: bool) -> None:
        token = issue(user=obj.user, scope=Scope(obj.scope), name=obj.name, expires_at=obj.expires_at)
        stored = ApiToken.objects.get(digest=digest_of(token))
        obj.__dict__.update(stored.__dict__)
        obj.__dict__["issued"] = token

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        # In the answer itself, not in a message: messages wait in a cookie or in the session's row.
        context = {
            **self.admin_site.each_context(request),
            "title": "New API token",
            "opts": self.opts,
            "token": obj,
        }
        return TemplateResponse(request, "access/issued.html", context)

    @admin.action(description="Revoke selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """By POST only, as every admin action; revoking twice changes nothing."""
        count = 0
        for token in queryset.filter(revoked_at__isnull=True):
            count += rights.revoke_token(token)
            self.log_change(request, token, "Revoked.")
        self.message_user(request, f"Revoked: {count}.", messages.SUCCESS)
