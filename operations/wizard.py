"""The wizard "new task": a repository, a requirement, and how; looked at before it is requested.

It is one form that works without scripts; with them ``wizard.js`` asks for the look as the form is filled in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agents.engines.protocol import EngineKind
from agents.models import Priority
from agents.sizes import AMOUNTS
from events.faults import Fault
from events.operator_pages import told
from operations import policy, projects, submit, task_calls
from operations.admin_forms import template_choices
from operations.coding import remote_look
from operations.models import Operation, Project

_LINE = {"autocomplete": "off", "spellcheck": "false"}
_OF_THE_PROJECT = ("name", "repository_url", "base_branch")


class TaskForm(forms.Form):
    """What a request holds; ``key`` makes sending it twice harmless."""

    project = forms.ModelChoiceField(
        queryset=Project.objects.none(), required=False, empty_label="a repository that is not here yet"
    )
    repository_url = forms.CharField(
        label="Repository", max_length=500, required=False, widget=forms.TextInput(attrs=_LINE),
        help_text="https://, ssh:// or git@ address; a local path where the operator allows its directory.",
    )  # fmt: skip
    name = forms.CharField(
        label="Name of the project", max_length=100, required=False, widget=forms.TextInput(attrs=_LINE),
        help_text="Empty: the last part of the address.",
    )  # fmt: skip
    base_branch = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs=_LINE),
        help_text="Work starts here and the pull request goes back here. Empty: the repository's default branch.",
    )  # fmt: skip
    requirements = forms.CharField(
        label="Requirement", strip=False, required=False, widget=forms.Textarea(attrs={"rows": 10}),
        help_text="What should change, and how one would know. A diff in it is applied as it is.",
    )  # fmt: skip
    engine = forms.ChoiceField(
        choices=[(kind.value, kind.value) for kind in EngineKind], initial=EngineKind.AUTO.value,
        help_text="auto: patch or codemod where the requirement carries one, else a model where one is configured, "
        "else repair where a test fails.",
    )  # fmt: skip
    template = forms.ChoiceField(required=False, help_text="The environment that its agent gets, and its size.")
    memory_mb = forms.IntegerField(label="Memory, MB", required=False, min_value=1, max_value=2**31 - 1)
    cpu_millis = forms.IntegerField(label="Processor, 1/1000 core", required=False, min_value=1, max_value=2**31 - 1)
    disk_mb = forms.IntegerField(
        label="Disk, MB", required=False, min_value=1, max_value=2**31 - 1,
        help_text="Left empty, the template decides; its limits stand under What it takes.",
    )  # fmt: skip
    approval = forms.ChoiceField(
        choices=Operation.Approval.choices, initial=Operation.Approval.NONE,
        help_text="Where it stops and waits for a person.",
    )  # fmt: skip
    priority = forms.TypedChoiceField(
        coerce=lambda value: Priority(int(value)), choices=[(value, label) for value, label in Priority.choices],
        initial=Priority.NORMAL,
    )  # fmt: skip
    key = forms.CharField(max_length=200, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["project"].queryset = policy.visible_projects(user)  # type: ignore[attr-defined]
        self.fields["template"].choices = [("", "the project's"), *template_choices()]  # type: ignore[attr-defined]

    def clean_requirements(self) -> str:
        """With the line ends that were typed: a browser sends others, and a diff in it would not apply."""
        return str(self.cleaned_data["requirements"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("project") is None and not data.get("repository_url") and "project" not in self.errors:
            self.add_error("repository_url", "Choose a project above, or say where the repository is.")
        return data

    @property
    def sections(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        """The form in its three parts: id, heading, fields."""
        parts = (
            ("where", "Where", ("project", "repository_url", "name", "base_branch")),
            ("what", "What", ("requirements",)),
            ("how", "How", ("engine", "template", *AMOUNTS, "approval", "priority")),
        )
        return [(key, heading, [self[name] for name in names]) for key, heading, names in parts]


def answer(request: HttpRequest, *, context: Mapping[str, Any], address: Callable[[Any], str]) -> HttpResponse:
    """The form; the look at what it holds; or the page of the operation that it made."""
    posted = request.POST if request.method == "POST" else None
    form = TaskForm(posted, user=request.user, initial={"project": request.GET.get("project"), "key": uuid.uuid4()})
    shown: dict[str, Any] = {}
    if posted is not None and posted.get("do") == "look":
        form.is_valid()  # what is wrong is said at its field, here too
        shown = _looked(form, remote=True)
    elif posted is not None and form.is_valid() and (operation := _requested(request, form)):
        return redirect(address(operation))
    return TemplateResponse(request, "moorage/task.html", {**context, "title": "New task", "form": form, **shown})


def look(request: HttpRequest) -> HttpResponse:
    """What can be said of what is in the form now; the repository is asked only where ``remote`` is wanted."""
    form = TaskForm(request.POST, user=request.user)
    form.is_valid()
    shown = _looked(form, remote=request.POST.get("remote") == "1")
    response = TemplateResponse(request, "moorage/task_look.html", shown)
    response["Cache-Control"] = "no-store"
    return response


def _requested(request: HttpRequest, form: TaskForm) -> Operation | None:
    """Request it, and the project first where there is none; what is refused is said at its field."""
    data = dict(form.cleaned_data)
    new = {name: data.pop(name) for name in _OF_THE_PROJECT}
    key, size = data.pop("key"), task_calls.wanted_size(data)
    data = {name: value for name, value in data.items() if name not in AMOUNTS}
    try:
        if data["project"] is None:
            made = projects.create(
                by=request.user, **{**new, "name": new["name"] or task_calls.name_of(new["repository_url"])},
                default_template=data["template"] or "python",
            )  # fmt: skip
            # What comes next may be refused: the project is there.
            data["project"], form.data = made, {**form.data.dict(), "project": str(made.pk)}  # type: ignore[attr-defined]
            messages.success(request, f"The project {made.name} is added.")
        return submit.submit(by=request.user, idempotency_key=key, size=size, **data)
    except Fault as fault:
        names = [name.removesuffix("_id") for name in fault.pointer.split("/")]
        form.add_error(next((name for name in names if name in form.fields), None), told(fault))
        return None


def _looked(form: TaskForm, *, remote: bool) -> dict[str, Any]:
    data = getattr(form, "cleaned_data", {})
    project = data.get("project")
    found: dict[str, Any] = {"calls": task_calls.of(data), "size": task_calls.size_of(data)}
    url = project.repository_url if project else data.get("repository_url", "")
    if remote and url:
        branch = project.base_branch if project else data.get("base_branch", "")
        found["asked"] = task_calls.without_user(url)
        try:
            found["seen"] = remote_look.look(url=url, branch=branch)
        except Fault as fault:
            found["fault"] = told(fault)
    return found
