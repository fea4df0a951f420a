"""The plan as a form: a page of its own, so that nothing moves under whoever writes in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from events.faults import Fault
from events.operator_pages import told
from events.plain_text import plain
from operations import operation_page, plans, submit
from operations.models import Operation, Stage, Step

MOST_STEPS = 30


class PlanForm(forms.Form):
    """What the plan is for; ``seen`` is the plan that was shown."""

    summary = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))
    seen = forms.CharField(widget=forms.HiddenInput)


class PlannedStepForm(forms.Form):
    """One intended change; one without a title is left out."""

    title = forms.CharField(max_length=300, required=False)
    paths = forms.CharField(
        label="Files",
        max_length=25_000, required=False, widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="One path a line.",
    )  # fmt: skip
    detail = forms.CharField(max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 3}))
    after = forms.CharField(
        label="Needs steps", max_length=200, required=False,
        help_text="Numbers of earlier steps, such as 1, 2. Steps that share no file and need none of each other may be "
        "carried out at the same time.",
    )  # fmt: skip

    def clean_paths(self) -> tuple[str, ...]:
        """The paths, without blanks around them."""
        files = tuple(filter(None, (line.strip() for line in self.cleaned_data["paths"].splitlines())))
        if len(files) > 50 or any(len(file) > 500 for file in files):
            raise forms.ValidationError("At most 50 paths of at most 500 characters.")
        return files

    def clean_after(self) -> tuple[int, ...]:
        """The numbers, each once."""
        words = self.cleaned_data["after"].replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() and 1 <= int(word) <= MOST_STEPS for word in words):
            raise forms.ValidationError("Numbers of earlier steps, with commas between them.")
        return tuple(sorted({int(word) for word in words}))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not data.get("title") and (data.get("paths") or data.get("detail") or data.get("after")):
            self.add_error("title", "Say in a few words what is done here.")
        return data


Steps = forms.formset_factory(PlannedStepForm, extra=1, max_num=MOST_STEPS, absolute_max=MOST_STEPS, validate_max=True)


def answer(
    request: HttpRequest, operation: Operation, *, context: Mapping[str, Any], address: Callable[[Any], str]
) -> HttpResponse:
    """The form, or what became of it: saved, or saved and approved; a plan that moved on meanwhile is said."""
    product = _product(operation)
    if product is None or not operation_page.possible(operation)["edit_plan"]:
        messages.error(request, "The plan does not wait for approval any more: it cannot be changed.")
        return redirect(address(operation))
    form, steps = _forms(request, product)
    if request.method == "POST" and form.is_valid() and steps.is_valid():
        if form.cleaned_data["seen"] != _digest(product):
            form.add_error(None, "Somebody changed the plan since this page was opened. Open it again to see how.")
        elif _saved(request, operation, form, steps):
            return redirect(address(operation))
    names = {"operation": operation, "title": f"Plan of {plain(operation.title)}", "form": form, "steps": steps}
    return TemplateResponse(request, "moorage/plan_form.html", {**context, **names})


def _forms(request: HttpRequest, product: Mapping[str, Any]) -> tuple[PlanForm, Any]:
    posted = request.POST if request.method == "POST" else None
    lines = [line for line in product.get("steps") or [] if isinstance(line, dict)][:MOST_STEPS]
    # A model wrote it: what acts unseen is shown to whoever approves, and is gone once they save.
    given = [
        {
            "title": plain(str(line.get("title", ""))),
            "paths": plain("\n".join(map(str, line.get("files") or []))),
            "detail": plain(str(line.get("detail", ""))),
            "after": plain(", ".join(map(str, line.get("after") or []))),
        }
        for line in lines
    ]
    first = {"summary": plain(str(product.get("summary", ""))), "seen": _digest(product)}
    return PlanForm(posted, initial=first, label_suffix=""), Steps(
        posted, initial=given, prefix="step", form_kwargs={"label_suffix": ""}
    )


def _saved(request: HttpRequest, operation: Operation, form: PlanForm, steps: Any) -> bool:
    written = [(number, one.cleaned_data) for number, one in enumerate(steps, start=1) if one.cleaned_data.get("title")]
    if not written:
        form.add_error(None, "A plan has at least one step.")
        return False
    # Steps that were left out count no more.
    now = {shown: number for number, (shown, _one) in enumerate(written, start=1)}
    edited = tuple(
        plans.EditedStep(one["title"], one["paths"], one["detail"], tuple(now[at] for at in one["after"] if at in now))
        for _shown, one in written
    )
    try:
        plans.edit(by=request.user, operation_id=operation.pk, summary=form.cleaned_data["summary"], steps=edited)
        if request.POST.get("then") == "approve":
            submit.approve(by=request.user, operation_id=operation.pk)
    except Fault as fault:
        form.add_error(None, told(fault))
        return False
    messages.success(request, "The plan is changed." + " It goes on." * (request.POST.get("then") == "approve"))
    return True


def _product(operation: Operation) -> dict[str, Any] | None:
    planned = operation.steps.filter(stage=Stage.PLAN, outcome=Step.Outcome.DONE).order_by("pk").last()
    return planned.product if planned else None


def _digest(product: Mapping[str, Any]) -> str:
    said = json.dumps([product.get("summary"), product.get("steps")], sort_keys=True)
    return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=12).hexdigest()
