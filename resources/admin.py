"""Hosts and leases in the console."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from events import journal
from events.faults import Fault
from events.operator_pages import OperatorPage, ReadOnly, badge, moment, told
from events.plain_text import ago
from resources import charts, hosts, quotas, samples, uids
from resources.egress import grants
from resources.host_map import bars, holders
from resources.models import Account, EgressGrant, Host, Lease, Orphan

_FIGURES = {
    "cores": ("Cores", "{}"),
    "load": ("Load", "{}"),
    "memory_total_mb": ("Memory", "{:,} MB"),
    "memory_free_mb": ("Memory free", "{:,} MB"),
    "disk_free_mb": ("Disk free", "{:,} MB"),
}


HISTORY = timedelta(hours=1)


@admin.register(Host)
class HostAdmin(OperatorPage):
    """Machines that lend berths."""

    list_display = ("name", "health", "berths", "memory", "heard")
    search_fields = ("name",)
    page_template = "moorage/host.html"
    parts_template = "moorage/host_parts.html"

    def page_context(self, request: HttpRequest, obj: Host) -> dict[str, Any]:
        topic, now = hosts.topic(obj), timezone.now()
        since, facts = now - HISTORY, obj.facts
        return {
            "host": obj,
            "verdict": hosts.verdict(obj, now=now),
            "heard": ago(obj.heartbeat_at, now=now),
            "bars": bars(obj, hosts.usage(obj)),
            "holders": holders(obj, now=now),
            "drawn": charts.draw(
                samples.history(host_id=obj.pk, since=since), since=since, until=now, period_s=settings.SAMPLE_S,
                tops=((facts.get("cores") or 0) * 1000, facts.get("memory_total_mb") or 0),
            ),
            "resting": uids.resting(obj)[:20],
            "tiers": obj.facts.get("tiers", []),
            "figures": [(words, said.format(facts[name])) for name, (words, said) in _FIGURES.items() if name in facts],
            "events": journal.replay(topic, after=max(0, journal.head(topic) - 20))[::-1],
        }  # fmt: skip

    def drain(self, request: HttpRequest, host: Host) -> str:
        """Take no new berths on it."""
        hosts.drain(host_id=host.pk, actor=f"user:{request.user}", reason="asked in the console", now=timezone.now())
        return f"{host.name} takes no new berths; what it holds may end."

    def undrain(self, request: HttpRequest, host: Host) -> str:
        """Take new berths again."""
        hosts.undrain(host_id=host.pk, actor=f"user:{request.user}", reason="asked in the console")
        return f"{host.name} takes new berths again."

    verbs = {"drain": drain, "undrain": undrain}

    @admin.display(description="health")
    def health(self, host: Host) -> SafeString:
        return badge(hosts.verdict(host, now=timezone.now()).value)

    @admin.display(description="berths")
    def berths(self, host: Host) -> int:
        return host.slots

    @admin.display(description="memory lent")
    def memory(self, host: Host) -> str:
        return f"{host.memory_mb} MB"

    @admin.display(description="last heard", ordering="heartbeat_at")
    def heard(self, host: Host) -> SafeString | str:
        return moment(host.heartbeat_at)


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    """The ledger of what is taken."""

    list_display = ("kind", "key", "amount", "status", "host", "owner", "created", "expires_at")
    list_filter = ("state", "kind", "host")
    list_select_related = ("host",)
    search_fields = ("=owner", "=key")

    @admin.display(description="state", ordering="state")
    def status(self, lease: Lease) -> SafeString:
        return badge(lease.state)

    @admin.display(description="taken", ordering="created_at")
    def created(self, lease: Lease) -> SafeString | str:
        return moment(lease.created_at)


@admin.register(Orphan)
class OrphanAdmin(ReadOnly):
    """What carries our mark and belongs to nobody: why it is listed, and what will happen to it."""

    list_title = "Orphans"
    list_display = ("kind", "key", "status", "reason", "host", "first_seen", "last_seen")
    list_filter = ("fate", "kind", "host")
    list_select_related = ("host",)
    search_fields = ("key", "owner")

    @admin.display(description="what happens", ordering="fate")
    def status(self, orphan: Orphan) -> SafeString:
        return badge(orphan.get_fate_display())

    @admin.display(description="first seen", ordering="first_seen_at")
    def first_seen(self, orphan: Orphan) -> SafeString | str:
        return moment(orphan.first_seen_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, orphan: Orphan) -> SafeString | str:
        return moment(orphan.last_seen_at)


@admin.register(EgressGrant)
class EgressGrantAdmin(ReadOnly):
    """What operators let berths reach. New ones are made by the API: docs/egress.md."""

    list_display = ("destination", "template", "project_id", "status", "granted_by", "reason", "created")
    list_filter = ("template",)
    search_fields = ("host", "template")
    actions = ("withdraw",)

    @admin.action(description="Withdraw", permissions=["view"])
    def withdraw(self, request: HttpRequest, rows: QuerySet[EgressGrant]) -> None:
        """End the chosen grants and the connections that rest on them."""
        for row in rows:
            try:
                grants.withdraw(row.pk, actor=f"user:{request.user}", reason="asked in the console", now=timezone.now())
            except Fault as fault:
                self.message_user(request, told(fault), messages.ERROR)
            else:
                self.message_user(request, f"{row} is withdrawn.", messages.SUCCESS)

    @admin.display(description="state")
    def status(self, grant: EgressGrant) -> SafeString:
        return badge("withdrawn" if grant.withdrawn_at else "granted")

    @admin.display(description="granted", ordering="created_at")
    def created(self, grant: EgressGrant) -> SafeString | str:
        return moment(grant.created_at)


class QuotaForm(forms.Form):
    """Limits of one user or project; what is left empty follows the settings."""

    kind = forms.ChoiceField(label="Of a", choices=Account.Kind.choices)
    key = forms.CharField(label="Who", max_length=150, help_text="A user's name or id, or a project's id.")
    slots = forms.IntegerField(label="Berths at once", required=False, min_value=0, max_value=quotas.MOST)
    memory_mb = forms.IntegerField(label="Memory, MB", required=False, min_value=0, max_value=quotas.MOST)
    cpu_millis = forms.IntegerField(
        label="Processor, thousandths of a core", required=False, min_value=0, max_value=quotas.MOST
    )
    disk_mb = forms.IntegerField(label="Disk, MB", required=False, min_value=0, max_value=quotas.MOST)
    reason = forms.CharField(max_length=300, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") == Account.Kind.USER and (name := cleaned.get("key")):
            known = get_user_model().objects.filter(username=name).first()
            cleaned["key"] = str(known.pk) if known else name
        return cleaned


@admin.register(Account)
class AccountAdmin(OperatorPage):
    """Limits that users and projects have of their own."""

    list_display = ("who", *quotas.AMOUNTS, "reason", "changed_by", "changed")
    list_filter = ("kind",)
    search_fields = ("=key",)
    list_title = "Quotas"
    add_words = "Set a quota"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Limits for somebody who has none."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._form(request, QuotaForm(request.POST or None), "Set a quota", "Empty means the default.")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Other limits; what is held above a new one stays until it is given back."""
        account = self.shown(request, object_id)
        now = quotas.standing(account.kind, account.key)
        fields = ("kind", "key", *quotas.AMOUNTS)
        form = QuotaForm(request.POST or None, initial={name: getattr(account, name) for name in fields})
        held = ", ".join(f"{name} {now.used[name]} of {now.limits.get(name, 'no limit')}" for name in quotas.AMOUNTS)
        return self._form(request, form, f"Quota of {account}", f"Held now: {held}. Empty means the default.")

    def _form(self, request: HttpRequest, form: QuotaForm, title: str, lead: str) -> HttpResponse:
        def save(data: dict[str, Any]) -> Account:
            limits = {name: data[name] for name in quotas.AMOUNTS}
            return quotas.grant(
                kind=data["kind"], key=data["key"], limits=limits, actor=f"user:{request.user}",
                reason=data["reason"] or "set in the console", now=timezone.now(),
            )  # fmt: skip

        return self.form_view(request, form, save, title=title, lead=lead, send="Save")

    @admin.display(description="of")
    def who(self, account: Account) -> str:
        if account.kind == Account.Kind.USER and (user := get_user_model().objects.filter(pk=account.key).first()):
            return f"user {user}"
        return str(account)

    @admin.display(description="changed", ordering="changed_at")
    def changed(self, account: Account) -> SafeString | str:
        return moment(account.changed_at)
