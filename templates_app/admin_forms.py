"""The console's forms for templates: their valid data goes to a door of this room, which checks again."""

from __future__ import annotations

from django import forms

from templates_app.yaml_text import MAX_BYTES

_CODE = {"class": "vLargeTextField", "rows": 26, "spellcheck": "false", "autocomplete": "off", "wrap": "off"}
_LINE = {"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}


class DraftForm(forms.Form):
    """A text that is worked on."""

    text = forms.CharField(label="Template", strip=False, required=False, max_length=MAX_BYTES,
                           widget=forms.Textarea(attrs=_CODE))  # fmt: skip
    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=0)


class NewForm(forms.Form):
    """A template that is to be, from nothing, from a copy of one that is, or from a devcontainer.json."""

    name = forms.CharField(
        max_length=63, required=False, widget=forms.TextInput(attrs=_LINE),
        help_text="Small letters, digits and dashes. May be left out for a devcontainer.json that has a name.",
    )  # fmt: skip
    extends = forms.CharField(
        max_length=63, initial="base", widget=forms.TextInput(attrs=_LINE), help_text="The template beneath it."
    )
    devcontainer = forms.CharField(
        label="devcontainer.json", strip=False, required=False, max_length=MAX_BYTES,
        widget=forms.Textarea(attrs={**_CODE, "rows": 12}),
        help_text="Where it is given, the draft is made of it; what could not be taken over is listed at its head.",
    )  # fmt: skip


class DeprecationForm(forms.Form):
    """Why nothing new should use it."""

    reason = forms.CharField(max_length=300, required=False, widget=forms.TextInput(attrs=_LINE))
    replaced_by = forms.CharField(
        label="Use instead", max_length=63, required=False, widget=forms.TextInput(attrs=_LINE)
    )
