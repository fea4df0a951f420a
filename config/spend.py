"""The HTTP face of money: what was spent on what, and the budgets of staff."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.gateway.models import Scope
from operations import budgets, spend
from operations.spend import Bought

LONGEST_DAYS = 3660


class SpendParameters(serializers.Serializer[Any]):
    """Which spend."""

    by = serializers.ChoiceField(choices=list(spend.GROUPS), default="run")
    days = serializers.IntegerField(default=30, min_value=1, max_value=LONGEST_DAYS, help_text="Today and before.")


class SpendSerializer(serializers.Serializer[Bought]):
    """One group, and what it bought."""

    key = serializers.CharField(source="spend.key")
    title = serializers.CharField()
    usd = serializers.FloatField(source="spend.usd")
    calls = serializers.IntegerField(source="spend.calls")
    failed_calls = serializers.IntegerField(source="spend.failed_calls")
    input_tokens = serializers.IntegerField(source="spend.input_tokens")
    cached_tokens = serializers.IntegerField(source="spend.cached_tokens")
    output_tokens = serializers.IntegerField(source="spend.output_tokens")
    replays = serializers.IntegerField(source="spend.replays")
    outcomes = serializers.DictField(child=serializers.IntegerField())
    pull_requests = serializers.ListField(child=serializers.CharField())


class SpendView(APIView):
    """What models cost."""

    @extend_schema(parameters=[SpendParameters], responses=SpendSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Spend by run, agent, project, day or model, with what it bought; at most 200 groups."""
        asked = SpendParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        since = timezone.now().date() - timedelta(days=asked.validated_data["days"] - 1)
        found = spend.by(asked.validated_data["by"], user=request.user, since=since)
        return Response([SpendSerializer(row).data for row in found])


class BudgetSerializer(serializers.Serializer[Any]):
    """A limit for one, or with an empty key for everyone, of a scope; null is no limit."""

    scope = serializers.ChoiceField(choices=Scope.choices)
    key = serializers.CharField(max_length=40, allow_blank=True, default="")
    usd = serializers.FloatField(allow_null=True, min_value=0, max_value=1e9)
    tokens = serializers.IntegerField(allow_null=True, min_value=0, max_value=2**53, default=None)
    calls = serializers.IntegerField(allow_null=True, min_value=0, max_value=2**53, default=None)
    reason = serializers.CharField(max_length=300, allow_blank=True, default="")


class BudgetsView(APIView):
    """Budgets of runs, agents, users, projects and the day."""

    @extend_schema(request=BudgetSerializer, responses=BudgetSerializer)
    def put(self, request: Request) -> Response:
        """Set one; operations that wait for money look again."""
        data = BudgetSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        budgets.put(by=request.user, now=timezone.now(), **data.validated_data)
        return Response(data.validated_data)
