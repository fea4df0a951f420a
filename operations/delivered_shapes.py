"""Delivered pull requests in the API's shape."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from operations.coding.forges.protocol import CheckState
from operations.models import PullRequest, Rework


class CheckSerializer(serializers.Serializer[Any]):
    """One check of a pull request."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in CheckState])
    url = serializers.CharField()
    summary = serializers.CharField()


class RoundSerializer(serializers.Serializer[Any]):
    """One round of rework."""

    number = serializers.IntegerField()
    cause = serializers.ChoiceField(choices=Rework.Cause.choices)
    about = serializers.CharField()
    began_at = serializers.DateTimeField()


class DeliveredSerializer(serializers.Serializer[Any]):
    """A delivered pull request: what the forge said last, and the rounds that it came back for."""

    number = serializers.IntegerField()
    url = serializers.CharField()
    title = serializers.CharField()
    forge = serializers.CharField()
    state = serializers.ChoiceField(choices=PullRequest.State.choices)
    conflicts = serializers.BooleanField()
    checks = CheckSerializer(many=True)
    rounds = RoundSerializer(many=True)
    ignored = serializers.IntegerField(help_text="Comments of people who may not write.")
    note = serializers.CharField(help_text="Why nothing is done, or not yet.")
    looked_at = serializers.DateTimeField(allow_null=True)
    look_due_at = serializers.DateTimeField(allow_null=True)
