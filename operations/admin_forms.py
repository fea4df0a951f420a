"""The console's forms for requests: their valid data goes to a room verb, which checks again and decides."""

from __future__ import annotations

from typing import Any

from django import forms

from templates_app import active, states

_WIDE = {"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}


def template_choices() -> list[tuple[str, str]]:
    """The templates that an operation can use, by name."""
    found, said = active.templates(), states.states()
    old = {name for name, state in said.items() if state.deprecated}
    documents = [found[name] for name in sorted(found.documents)]
    return [(one.name, one.name + " (deprecated)" * (one.name in old)) for one in documents if not one.abstract]


class ProjectForm(forms.Form):
    """A repository to work on."""

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs=_WIDE))
    repository_url = forms.CharField(
        label="Repository", max_length=500, widget=forms.TextInput(attrs=_WIDE),
        help_text="https://, ssh:// or git@ address; a local path where the operator allows its directory.",
    )  # fmt: skip
    base_branch = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs=_WIDE),
        help_text="Work starts here and pull requests go back here. Empty: the repository's default branch.",
    )  # fmt: skip
    default_template = forms.ChoiceField(label="Template", help_text="The environment that agents get.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = template_choices()
        if (current := self.initial.get("default_template")) and current not in dict(choices):
            choices = [(current, f"{current} (not available now)"), *choices]
        self.fields["default_template"].choices = choices  # type: ignore[attr-defined]
        self.fields["default_template"].initial = "python"
