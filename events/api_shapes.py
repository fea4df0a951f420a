"""The JSON shape of events, for every room that lists its own."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class EventSerializer(serializers.Serializer[Any]):
    """One journal event."""

    topic = serializers.CharField()
    seq = serializers.IntegerField()
    kind = serializers.CharField()
    actor = serializers.CharField()
    reason = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment] # the field of that name; the class keeps its property
    created_at = serializers.DateTimeField()
