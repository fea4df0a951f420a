"""The HTTP face of projects and operations. Each handler makes one domain call."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from events.api_shapes import EventSerializer
from events.journal import replay
from operations import policy, projects, submit
from operations.api_shapes import (
    AnswerSerializer,
    DiffSerializer,
    EvidenceSerializer,
    OperationSerializer,
    ProjectSerializer,
    RecordingSerializer,
    StepSerializer,
    SubmissionSerializer,
)
from operations.coding import pull_requests, recordings
from operations.models import Operation, Project

LONGEST_WAIT_S = 30.0
_LOOK_S = 0.2


class ProjectViewSet(viewsets.GenericViewSet[Project]):
    """Repositories that operations may work on."""

    serializer_class = ProjectSerializer

    def get_queryset(self) -> Any:
        return policy.visible_projects(self.request.user)

    def list(self, request: Request) -> Response:
        """Projects, newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def create(self, request: Request) -> Response:
        """Make a project. Its repository address is checked now and again before each use."""
        data = self.get_serializer(data=request.data)
        data.is_valid(raise_exception=True)
        project = projects.create(by=request.user, **data.validated_data)
        return Response(
            self.get_serializer(project).data, status.HTTP_201_CREATED, headers={"Location": f"{request.path}{project.pk}/"}
        )

    def retrieve(self, request: Request, pk: str) -> Response:
        """One project."""
        return Response(self.get_serializer(policy.project(request.user, pk)).data)

    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        """Change a project."""
        data = self.get_serializer(policy.project(request.user, pk), data=request.data, partial=partial)
        data.is_valid(raise_exception=True)
        project = projects.change(by=request.user, project_id=pk, **data.validated_data)
        return Response(self.get_serializer(project).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields of a project."""
        return self.update(request, pk, partial=True)

    def destroy(self, request: Request, pk: str) -> Response:
        """Archive a project; its history stays."""
        projects.archive(by=request.user, project_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class OperationViewSet(viewsets.GenericViewSet[Operation]):
    """Requested work."""

    serializer_class = OperationSerializer

    def get_queryset(self) -> Any:
        rows = policy.visible_operations(self.request.user)
        for field in ("status", "project_id", "agent_id"):
            if value := self.request.query_params.get(field):
                if field.endswith("_id") and not policy.is_uuid(value):
                    raise serializers.ValidationError({field: ["is not an id"]})
                rows = rows.filter(**{field: value})
        return rows

    @extend_schema(parameters=[OpenApiParameter("status"), OpenApiParameter("project_id"), OpenApiParameter("agent_id")])
    def list(self, request: Request) -> Response:
        """Operations, newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=SubmissionSerializer, responses={202: OperationSerializer})
    def create(self, request: Request) -> Response:
        """Request an operation. ``Idempotency-Key`` makes a repeated request harmless."""
        data = SubmissionSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        fields = dict(data.validated_data)
        fields.pop("type", None)
        project = policy.project(request.user, fields.pop("project_id"))
        operation = submit.submit(
            by=request.user, project=project, idempotency_key=request.headers.get("Idempotency-Key", "")[:200], **fields
        )
        return Response(
            self.get_serializer(operation).data,
            status.HTTP_202_ACCEPTED,
            headers={"Location": f"{request.path}{operation.pk}/"},
        )

    @extend_schema(parameters=[OpenApiParameter("wait", float, description="Seconds to wait for a change, at most 30.")])
    def retrieve(self, request: Request, pk: str) -> Response:
        """One operation; with ``?wait=30`` the answer comes when it changes, or after that time."""
        operation = policy.operation(request.user, pk)
        if wait_s := _wait(request):
            operation = _await_change(request, operation, wait_s)
        return Response(self.get_serializer(operation).data)

    @extend_schema(request=None, responses=OperationSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it at any point. Cancelling again changes nothing."""
        return self._answer(submit.cancel(by=request.user, operation_id=pk))

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Go on from the stage that failed."""
        return self._answer(submit.retry(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let it go on after it asked for approval."""
        return self._answer(submit.approve(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=AnswerSerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, pk: str) -> Response:
        """Answer its question."""
        data = AnswerSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        operation = submit.answer(by=request.user, operation_id=pk, text=data.validated_data["text"])
        return self._answer(operation, status.HTTP_202_ACCEPTED)

    @extend_schema(responses=StepSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def steps(self, request: Request, pk: str) -> Response:
        """Every attempt at every stage, in order."""
        return Response(StepSerializer(policy.operation(request.user, pk).steps.all(), many=True).data)

    @extend_schema(parameters=[OpenApiParameter("after", int)], responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, pk: str) -> Response:
        """Its journal behind ``?after=SEQ``, at most 1000 events."""
        after = request.query_params.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise serializers.ValidationError({"after": ["must be a number"]})
        operation = policy.operation(request.user, pk)
        return Response(EventSerializer(replay(operation.topic, after=int(after)), many=True).data)

    @extend_schema(responses=EvidenceSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def evidence(self, request: Request, pk: str) -> Response:
        """What the engine itself saw, each bound to a tree."""
        return Response(EvidenceSerializer(policy.operation(request.user, pk).evidence.all(), many=True).data)

    @extend_schema(responses=DiffSerializer)
    @action(detail=True, pagination_class=None)
    def diff(self, request: Request, pk: str) -> Response:
        """What its last coded tree changes on the base; empty before there is one."""
        return Response(DiffSerializer(pull_requests.diff_of(policy.operation(request.user, pk))).data)

    @extend_schema(responses=RecordingSerializer)
    @action(detail=True, pagination_class=None)
    def recording(self, request: Request, pk: str) -> Response:
        """Its CODE attempts as a recording, to be replayed on the same state of the repository."""
        return Response(recordings.of(policy.operation(request.user, pk)))

    def _answer(self, operation: Operation, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(operation).data, code)


def _wait(request: Request) -> float:
    given = request.query_params.get("wait", "0")
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise serializers.ValidationError({"wait": [f"must be a number of seconds from 0 to {LONGEST_WAIT_S:g}"]})
    return seconds


def _await_change(request: Request, operation: Operation, wait_s: float) -> Operation:
    seen, deadline = operation.turn, time.monotonic() + wait_s
    while operation.turn == seen and operation.status in Operation.ACTIVE and time.monotonic() < deadline:
        connection.close()  # a waiting request holds no connection
        time.sleep(_LOOK_S)
        operation = policy.operation(request.user, operation.pk)
    return operation


router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("operations", OperationViewSet, basename="operation")
urlpatterns = router.urls
