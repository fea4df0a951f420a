"""Operations in the console: their page, their verbs, their logs and plans, and the request for a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_safe

from agents.gateway import money
from events.operator_pages import OperatorPage, badge, following, moment
from events.plain_text import plain
from operations import budgets, foresight, operation_page, plan_form, policy, step_logs, submit, takeover, wizard
from operations.coding import decisions
from operations.models import Operation, Step
from operations.snapshots import blocked_by
from resources.reasons import in_words


class EngineFilter(admin.AllValuesFieldListFilter):
    """By the engine that was picked; those where none is yet have words too."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "none yet"}


@admin.register(Operation)
class OperationAdmin(OperatorPage):
    """Requested work. What is waiting for a person or has failed says so in its row."""

    list_display = ("requirement", "status_now", "stage_now", "project", "engine_used", "requested", "why")
    list_filter = ("status", "stage", ("engine_kind", EngineFilter), "project")
    list_select_related = ("project", "agent__host")
    search_fields = ("requirements", "project__name", "id")
    actions = ("cancel_selected", "retry_selected")
    add_words = "New task"
    page_template = "moorage/operation.html"
    parts_template = "moorage/operation_parts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        return policy.visible_operations(request.user)

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "operations_operation"
        look, change = require_safe, require_http_methods(["GET", "HEAD", "POST"])
        mine = [
            path("add/look/", wrap(require_http_methods(["POST"])(self.look_view)), name=f"{name}_look"),
            path("<uuid:object_id>/plan/", wrap(change(self.plan_view)), name=f"{name}_plan"),
            path("<uuid:object_id>/log.txt", wrap(look(self.logs_view)), name=f"{name}_logs"),
            path("<uuid:object_id>/log/<int:step_id>/", wrap(look(self.log_view)), name=f"{name}_log"),
            path("<uuid:object_id>/log/<int:step_id>.txt", wrap(look(self.log_text_view)), name=f"{name}_log_text"),
        ]
        return [*mine, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Request an operation."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return wizard.answer(request, context=self.base_context(request), address=self.address)

    def look_view(self, request: HttpRequest) -> HttpResponse:
        """What can be said of a request before it is made: an HTML fragment for ``wizard.js``."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return wizard.look(request)

    def plan_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The plan as a form, while it waits for approval."""
        operation = self.shown(request, str(object_id))
        return plan_form.answer(request, operation, context=self.base_context(request), address=self.address)

    def log_view(self, request: HttpRequest, object_id: UUID, step_id: int) -> HttpResponse:
        """The end of one step's log as markup, for ``logs.js`` where websockets do not get through."""
        log = step_logs.shown(self._step(request, object_id, step_id))
        response = TemplateResponse(request, "moorage/log.html", {"log": log})
        response["Cache-Control"] = "no-store"
        response["X-Moorage-Live"], response["X-Moorage-Cursor"] = "1" if log.live else "0", str(log.said)
        return response

    def log_text_view(self, request: HttpRequest, object_id: UUID, step_id: int) -> HttpResponse:
        """All that is kept of one step's log, to keep."""
        step = self._step(request, object_id, step_id)
        return _file(HttpResponse(step_logs.text(step), content_type=_TEXT), f"{step.stage}-{step.attempt}.txt")

    def logs_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """All that is kept of all its logs, to keep."""
        operation = self.shown(request, str(object_id))
        parts = (part.encode() for part in step_logs.whole(operation))
        return _file(HttpResponse(parts, content_type=_TEXT), f"operation-{operation.pk}.txt")

    def _step(self, request: HttpRequest, object_id: UUID, step_id: int) -> Step:
        step = self.shown(request, str(object_id)).steps.filter(pk=step_id).first()
        if step is None:
            raise Http404("the operation has no such step")
        return step

    def page_context(self, request: HttpRequest, obj: Operation) -> dict[str, Any]:
        return {"operation": obj, "page": operation_page.of(obj, now=timezone.now()), "title": plain(obj.title)}

    def cancel(self, request: HttpRequest, operation: Operation) -> str:
        """Stop it at any point."""
        submit.cancel(by=request.user, operation_id=operation.pk, reason="asked in the console")
        return "Cancelled."

    def retry(self, request: HttpRequest, operation: Operation) -> str:
        """Go on from the stage that failed, or from the one that is named."""
        stage = request.POST.get("stage", "")
        submit.retry(by=request.user, operation_id=operation.pk, stage=stage)
        return f"Goes on from {stage or 'the stage that failed'}, in a new berth."

    def approve(self, request: HttpRequest, operation: Operation) -> str:
        """Let it go on."""
        submit.approve(by=request.user, operation_id=operation.pk)
        return "Approved; it goes on."

    def answer(self, request: HttpRequest, operation: Operation) -> str:
        """Answer its question."""
        submit.answer(by=request.user, operation_id=operation.pk, text=request.POST.get("text", ""))
        return "Answered; it goes on."

    def refuse(self, request: HttpRequest, operation: Operation) -> str:
        """Refuse what its agent program asks for, and say why not."""
        submit.refuse(by=request.user, operation_id=operation.pk, text=request.POST.get("text", ""))
        return "Refused; it goes on without it."

    def budget(self, request: HttpRequest, operation: Operation) -> str:
        """Raise what it may spend."""
        usd = money.amount(request.POST.get("usd", ""))
        budgets.raise_run(by=request.user, operation_id=operation.pk, usd=usd, now=timezone.now())
        return f"It may spend ${usd:,.2f} in all now, and goes on."

    def take_over(self, request: HttpRequest, operation: Operation) -> str:
        """Have its berth to oneself."""
        taken = takeover.take_over(by=request.user, operation_id=operation.pk)
        if takeover.promised(taken):
            return "The berth is yours once the plan is made: before, there is nothing in it to change."
        return "The berth is yours: open a terminal of its agent, and hand it back when done."

    def hand_back(self, request: HttpRequest, operation: Operation) -> str:
        """Let it go on with the files as they are."""
        had = takeover.reason(operation) is not None
        takeover.hand_back(by=request.user, operation_id=operation.pk)
        return "Handed back; it goes on with the files as they are." if had else "Given up; it goes on by itself."

    def rework(self, request: HttpRequest, operation: Operation) -> str:
        """Another round on its pull request."""
        decisions.another_round(by=request.user, operation_id=operation.pk, text=request.POST.get("text", ""))
        return "Another round begins as soon as the forge was read."

    def leave(self, request: HttpRequest, operation: Operation) -> str:
        """Its pull request is the person's."""
        decisions.leave(by=request.user, operation_id=operation.pk)
        return "The pull request is yours; Moorage watches it and changes nothing."

    def close(self, request: HttpRequest, operation: Operation) -> str:
        """Close its pull request."""
        decisions.close(by=request.user, operation_id=operation.pk)
        return "The pull request is closed as soon as the forge was read."

    def look(self, request: HttpRequest, operation: Operation) -> str:
        """Read its pull request now."""
        decisions.look(by=request.user, operation_id=operation.pk)
        return "The forge is asked."

    verbs = {
        "cancel": cancel, "retry": retry, "approve": approve, "answer": answer, "refuse": refuse, "budget": budget,
        "take-over": take_over, "hand-back": hand_back, "rework": rework, "leave": leave, "close": close, "look": look,
    }  # fmt: skip
    foresights = {
        "cancel": lambda _page, _request, operation: foresight.cancel(operation),
        "retry": lambda _page, _request, operation: foresight.retry(operation),
    }

    @admin.action(description="Cancel selected operations")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Operation]) -> HttpResponse:
        """Each with its own result."""
        return self.attempt_each(request, "cancel", queryset)

    @admin.action(description="Retry selected operations")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Operation]) -> HttpResponse:
        """Each with its own result."""
        return self.attempt_each(request, "retry", queryset)

    @admin.display(description="requirement")
    def requirement(self, operation: Operation) -> str:
        return plain(operation.title)

    @admin.display(description="status", ordering="status")
    def status_now(self, operation: Operation) -> SafeString:
        return badge(operation.status, topic=operation.topic, field="status")

    @admin.display(description="stage", ordering="stage")
    def stage_now(self, operation: Operation) -> SafeString:
        return following(operation.stage, topic=operation.topic, field="stage")

    @admin.display(description="engine", ordering="engine_kind")
    def engine_used(self, operation: Operation) -> str:
        return operation.engine_kind or operation.engine

    @admin.display(description="requested", ordering="created_at")
    def requested(self, operation: Operation) -> SafeString | str:
        return moment(operation.created_at)

    @admin.display(description="why")
    def why(self, operation: Operation) -> str:
        if operation.status == Operation.Status.FAILED:
            return plain(str((operation.error or {}).get("detail", "")))[:160] or "—"
        return "; ".join(plain(in_words(reason)) for reason in blocked_by(operation))[:160] or "—"


_TEXT = "text/plain; charset=utf-8"


def _file(response: HttpResponse, name: str) -> HttpResponse:
    """An answer that the browser saves and does not show."""
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response
