"""Projects and pull requests in the console: pages to read, verbs by POST."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from events.faults import Fault
from events.operator_pages import OperatorPage, ReadOnly, badge, moment
from events.plain_text import plain
from operations import diff_lines, projects
from operations.admin_forms import ProjectForm
from operations.coding import changes, pull_requests, vault
from operations.models import KeptResult, Operation, Project, PullRequest
from operations.operation_admin import OperationAdmin

__all__ = ["KeptResultAdmin", "OperationAdmin", "ProjectAdmin", "PullRequestAdmin"]


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


@admin.register(KeptResult)
class KeptResultAdmin(ReadOnly):
    """Results that are used again, with how often they were."""

    list_display = ("kind", "key", "hits", "used", "made")
    list_filter = ("kind",)

    @admin.display(description="last used", ordering="used_at")
    def used(self, row: KeptResult) -> SafeString | str:
        return moment(row.used_at)

    @admin.display(description="made", ordering="created_at")
    def made(self, row: KeptResult) -> SafeString | str:
        return moment(row.created_at)
