"""Projects, operations and pull requests in the console: pages to read, verbs by POST."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString

from agents.gateway import money
from events.faults import Fault
from events.operator_pages import OperatorPage, badge, following, moment
from events.plain_text import plain
from operations import budgets, diff_lines, operation_page, policy, projects, submit, takeover
from operations.admin_forms import OperationForm, ProjectForm
from operations.coding import changes, pull_requests, vault
from operations.models import Operation, Project, PullRequest
from operations.snapshots import blocked_by
from resources.reasons import in_words


@admin.register(Operation)
class OperationAdmin(OperatorPage):
    """Requested work. What is waiting for a person or has failed says so in its row."""

    list_display = ("requirement", "status_now", "stage_now", "project", "engine_used", "requested", "why")
    list_filter = ("status", "stage", "engine_kind", "project")
    list_select_related = ("project", "agent__host")
    search_fields = ("requirements", "project__name", "id")
    actions = ("cancel_selected", "retry_selected")
    add_words = "Request work"
    page_template = "moorage/operation.html"
    parts_template = "moorage/operation_parts.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        return policy.visible_operations(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Request an operation."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = OperationForm(request.POST or None, user=request.user, initial={"project": request.GET.get("project")})
        return self.form_view(
            request, form, lambda data: submit.submit(by=request.user, **data), title="Request work",
            lead="A requirement becomes a tested branch and a pull request, in nine stages that you can watch.",
            send="Request it",
        )  # fmt: skip

    def page_context(self, request: HttpRequest, obj: Operation) -> dict[str, Any]:
        return {"operation": obj, "page": operation_page.of(obj, now=timezone.now()), "title": plain(obj.title)}

    def cancel(self, request: HttpRequest, operation: Operation) -> str:
        """Stop it at any point."""
        submit.cancel(by=request.user, operation_id=operation.pk, reason="asked in the console")
        return "Cancelled."

    def retry(self, request: HttpRequest, operation: Operation) -> str:
        """Go on from the stage that failed."""
        submit.retry(by=request.user, operation_id=operation.pk)
        return "Goes on from the stage that failed, in a new berth."

    def approve(self, request: HttpRequest, operation: Operation) -> str:
        """Let it go on."""
        submit.approve(by=request.user, operation_id=operation.pk)
        return "Approved; it goes on."

    def answer(self, request: HttpRequest, operation: Operation) -> str:
        """Answer its question."""
        submit.answer(by=request.user, operation_id=operation.pk, text=request.POST.get("text", ""))
        return "Answered; it goes on."

    def budget(self, request: HttpRequest, operation: Operation) -> str:
        """Raise what it may spend."""
        usd = money.amount(request.POST.get("usd", ""))
        budgets.raise_run(by=request.user, operation_id=operation.pk, usd=usd, now=timezone.now())
        return f"It may spend ${usd:,.2f} in all now, and goes on."

    def take_over(self, request: HttpRequest, operation: Operation) -> str:
        """Have its berth to oneself."""
        takeover.take_over(by=request.user, operation_id=operation.pk)
        return "The berth is yours: open a terminal of its agent, and hand it back when done."

    def hand_back(self, request: HttpRequest, operation: Operation) -> str:
        """Let it go on with the files as they are."""
        takeover.hand_back(by=request.user, operation_id=operation.pk)
        return "Handed back; it goes on with the files as they are."

    verbs = {
        "cancel": cancel, "retry": retry, "approve": approve, "answer": answer, "budget": budget,
        "take-over": take_over, "hand-back": hand_back,
    }  # fmt: skip

    @admin.action(description="Cancel selected operations")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        """Each with its own result."""
        self.attempt_each(request, "cancel", queryset)

    @admin.action(description="Retry selected operations")
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        """Each with its own result."""
        self.attempt_each(request, "retry", queryset)

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


@admin.register(Project)
class ProjectAdmin(OperatorPage):
    """Repositories that operations may work on."""

    list_display = (
        "name",
        "repository_url",
        "base_branch",
        "default_template",
        "owner",
        "total",
        "under_way",
        "archived_at",
    )
    list_filter = (("archived_at", admin.EmptyFieldListFilter), "default_template")
    list_select_related = ("owner",)
    search_fields = ("name", "repository_url")
    add_words = "Add project"
    page_template = "moorage/project.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        active = Count("operations", filter=Q(operations__status__in=Operation.ACTIVE))
        return super().get_queryset(request).annotate(operations_total=Count("operations"), operations_active=active)

    def get_urls(self) -> list[URLPattern]:
        edit = path(
            "<uuid:object_id>/edit/", self.admin_site.admin_view(self.edit_view), name="operations_project_edit"
        )
        return [edit, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A new project."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_view(
            request, ProjectForm(request.POST or None), lambda data: projects.create(by=request.user, **data),
            title="Add project", lead="A project is one repository that agents may work on.", send="Add it",
        )  # fmt: skip

    def edit_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """Change a project; operations that run keep what they started with."""
        project = self.shown(request, str(object_id))
        values = {
            name: getattr(project, name) for name in ("name", "repository_url", "base_branch", "default_template")
        }
        return self.form_view(
            request, ProjectForm(request.POST or None, initial=values),
            lambda data: projects.change(by=request.user, project_id=project.pk, **data),
            title=f"Change {project.name}", lead="Operations that run keep what they started with.", send="Save",
        )  # fmt: skip

    def page_context(self, request: HttpRequest, obj: Project) -> dict[str, Any]:
        return {
            "project": obj,
            "operations": obj.operations.all()[:30],
            "pull_requests": obj.pull_requests.all()[:20],
        }

    def archive(self, request: HttpRequest, project: Project) -> str:
        """Take it out of sight."""
        projects.archive(by=request.user, project_id=project.pk)
        return f"{project.name} is archived; its history stays."

    verbs = {"archive": archive}

    @admin.display(description="operations", ordering="operations_total")
    def total(self, project: Any) -> int:
        return project.operations_total

    @admin.display(description="under way", ordering="operations_active")
    def under_way(self, project: Any) -> int:
        return project.operations_active


@admin.register(PullRequest)
class PullRequestAdmin(OperatorPage):
    """What operations have opened, at whatever forge; those of the local forge are merged here."""

    list_display = ("name", "status", "project", "forge", "base_branch", "opened")
    list_filter = ("state", "forge", "project")
    list_select_related = ("project",)
    search_fields = ("title", "head_branch", "project__name")
    page_template = "moorage/pull_request.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PullRequest]:
        return super().get_queryset(request).select_related("project", "operation")

    def page_context(self, request: HttpRequest, obj: PullRequest) -> dict[str, Any]:
        diff, fault = _diff(obj)
        can_merge = pull_requests.mergeable_here(obj)
        elsewhere = obj.forge == "local" and obj.state == PullRequest.State.OPEN and not can_merge
        return {
            "pull_request": obj, "diff": diff, "diff_fault": fault, "can_merge": can_merge, "body": plain(obj.body),
            "where": plain(pull_requests.where(obj)) if elsewhere else "",
        }  # fmt: skip

    def merge(self, request: HttpRequest, row: PullRequest) -> str:
        """A merge commit on the base branch."""
        merged = pull_requests.merge(by=request.user, pull_request_id=row.pk)
        return f"Merged into {merged.base_branch} as {merged.merged_commit[:12]}."

    verbs = {"merge": merge}

    @admin.display(description="pull request")
    def name(self, row: PullRequest) -> str:
        return plain(str(row))

    @admin.display(description="state", ordering="state")
    def status(self, row: PullRequest) -> SafeString:
        return badge(row.state)

    @admin.display(description="opened", ordering="created_at")
    def opened(self, row: PullRequest) -> SafeString | str:
        return moment(row.created_at)


def _diff(row: PullRequest) -> tuple[diff_lines.DiffView | None, str]:
    """What the head changes on the base, from the project's vault."""
    store = vault.existing(row.project_id)
    if store is None:
        return None, "The project's vault is not on this machine."
    try:
        base, head = vault.tree_of(store, row.base_commit), vault.tree_of(store, row.head_commit)
        diff = changes.diff(vault=store, base_tree=base, tree=head)
    except Fault as fault:
        return None, plain(f"{fault.detail} {fault.remedy_text}".strip())
    return diff_lines.lines_of(diff.text, cut=diff.truncated), ""
