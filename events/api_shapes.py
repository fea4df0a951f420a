"""The JSON shape of events, for every room that lists its own."""

from __future__ import annotations

from rest_framework import serializers

from events.recorded import Recorded


class EventSerializer(serializers.Serializer[Recorded]):
    """One journal event."""

    topic = serializers.CharField()
    seq = serializers.IntegerField()
    kind = serializers.CharField()
    actor = serializers.CharField()
    reason = serializers.CharField()
    data = serializers.DictField()
    created_at = serializers.DateTimeField()
