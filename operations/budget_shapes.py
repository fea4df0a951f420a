"""The JSON shapes of operations' money."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from agents.gateway.limits import State
from agents.gateway.money import usd


class RunBudgetSerializer(serializers.Serializer[Any]):
    """What an operation may spend in all; null is no limit."""

    usd = serializers.FloatField(allow_null=True, min_value=0, max_value=1e9)
    tokens = serializers.IntegerField(allow_null=True, min_value=0, max_value=2**53, default=None)
    calls = serializers.IntegerField(allow_null=True, min_value=0, max_value=2**53, default=None)


class AccountSerializer(serializers.Serializer[State]):
    """One account that its calls are booked on; ``held_usd`` is what calls in flight may cost."""

    scope = serializers.CharField(source="place.scope")
    key = serializers.CharField(source="place.key")
    period = serializers.CharField(source="place.period")
    spent_usd = serializers.SerializerMethodField()
    held_usd = serializers.SerializerMethodField()
    limit_usd = serializers.SerializerMethodField()
    tokens = serializers.IntegerField()
    limit_tokens = serializers.IntegerField(source="limit.tokens", allow_null=True)
    calls = serializers.IntegerField()
    limit_calls = serializers.IntegerField(source="limit.calls", allow_null=True)

    def get_spent_usd(self, state: State) -> float:
        return usd(state.spent_nanos)

    def get_held_usd(self, state: State) -> float:
        return usd(state.held_nanos)

    def get_limit_usd(self, state: State) -> float | None:
        return None if state.limit.nanos is None else usd(state.limit.nanos)
