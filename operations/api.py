"""The HTTP face of projects and operations. Each handler makes one domain call."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from events.api_shapes import EventSerializer
from events.journal import replay
from operations import budgets, delivered_page, plans, policy, projects, submit, takeover
from operations.api_shapes import (
    AfterParameters,
    AnswerSerializer,
    DiffSerializer,
    EvidenceSerializer,
    OperationFilter,
    OperationLineSerializer,
    OperationSerializer,
    PlanEditSerializer,
    ProjectSerializer,
    RecordingSerializer,
    RetrySerializer,
    RoundWantedSerializer,
    StepSerializer,
    SubmissionSerializer,
    WaitParameters,
)
from operations.budget_shapes import AccountSerializer, RunBudgetSerializer
from operations.coding import decisions, pull_requests, recordings
from operations.delivered_shapes import DeliveredSerializer
from operations.models import Operation, Project

LONGEST_KEY = 200
LEFT_OUT: dict[str, Any] = {"base_branch": "", "default_template": "python", "metadata": {}}  # by a PUT
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Makes a repeated request answer the first operation."
)
_LOOK_S = 0.2


class ProjectViewSet(viewsets.GenericViewSet[Project]):
    """Repositories that operations may work on."""

    queryset = Project.objects.all()  # for the type of ids in the description; what is visible says get_queryset
    serializer_class = ProjectSerializer

    def get_queryset(self) -> Any:
        return policy.visible_projects(self.request.user).select_related("owner")

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
            self.get_serializer(project).data,
            status.HTTP_201_CREATED,
            headers={"Location": f"{request.path}{project.pk}/"},
        )

    def retrieve(self, request: Request, pk: str) -> Response:
        """One project."""
        return Response(self.get_serializer(policy.project(request.user, pk)).data)

    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        """Replace a project: what is left out goes back to its default."""
        data = self.get_serializer(policy.project(request.user, pk), data=request.data, partial=partial)
        data.is_valid(raise_exception=True)
        left_out = {} if partial else LEFT_OUT
        project = projects.change(by=request.user, project_id=pk, **{**left_out, **data.validated_data})
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

    queryset = Operation.objects.all()
    serializer_class = OperationSerializer
    ordering: tuple[str, ...] = ()  # of a list; empty: newest first

    def get_queryset(self) -> Any:
        wanted = OperationFilter(data=self.request.query_params)
        wanted.is_valid(raise_exception=True)
        return policy.operation_lines(self.request.user).filter(**wanted.validated_data)

    @extend_schema(parameters=[OperationFilter], responses=OperationLineSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Operations, newest first; of each requirement the first 200 characters."""
        page = self.paginate_queryset(self.get_queryset())
        lines = OperationLineSerializer(page, many=True, context=self.get_serializer_context())
        return self.get_paginated_response(lines.data)

    @extend_schema(request=SubmissionSerializer, responses={202: OperationSerializer}, parameters=[IDEMPOTENCY_KEY])
    def create(self, request: Request) -> Response:
        """Request an operation. ``Idempotency-Key`` makes a repeated request harmless."""
        data = SubmissionSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        fields = dict(data.validated_data)
        fields.pop("type", None)
        project = policy.project(request.user, fields.pop("project_id"))
        operation = submit.submit(by=request.user, project=project, idempotency_key=_idempotency_key(request), **fields)
        return Response(
            self.get_serializer(operation).data,
            status.HTTP_202_ACCEPTED,
            headers={"Location": f"{request.path}{operation.pk}/"},
        )

    @extend_schema(parameters=[WaitParameters])
    def retrieve(self, request: Request, pk: str) -> Response:
        """One operation; with ``?wait=30`` the answer comes when it changes, or after that time."""
        asked = WaitParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        operation = policy.operation(request.user, pk)
        if asked.validated_data["wait"]:
            operation = _await_change(request, operation, wait_s=asked.validated_data["wait"],
                                      known_turn=asked.validated_data.get("turn", operation.turn))  # fmt: skip
        return Response(self.get_serializer(operation).data)

    @extend_schema(request=None, responses=OperationSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it at any point. Cancelling again changes nothing."""
        return self._answer(submit.cancel(by=request.user, operation_id=pk))

    @extend_schema(request=RetrySerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Go on from the stage that failed, or from one before it."""
        data = RetrySerializer(data=request.data)
        data.is_valid(raise_exception=True)
        return self._answer(
            submit.retry(by=request.user, operation_id=pk, **data.validated_data), status.HTTP_202_ACCEPTED
        )

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Let it go on after it asked for approval."""
        return self._answer(submit.approve(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=OperationSerializer)
    @action(detail=True, methods=["post"], url_path="take-over")
    def take_over(self, request: Request, pk: str) -> Response:
        """Have its berth to yourself: it waits, and a terminal of its agent is opened as ever."""
        return self._answer(takeover.take_over(by=request.user, operation_id=pk))

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"], url_path="hand-back")
    def hand_back(self, request: Request, pk: str) -> Response:
        """Let it go on, with the berth's files as they are."""
        return self._answer(takeover.hand_back(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=AnswerSerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, pk: str) -> Response:
        """Answer its question."""
        data = AnswerSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        operation = submit.answer(by=request.user, operation_id=pk, text=data.validated_data["text"])
        return self._answer(operation, status.HTTP_202_ACCEPTED)

    @extend_schema(request=PlanEditSerializer, responses=OperationSerializer)
    @action(detail=True, methods=["patch"])
    def plan(self, request: Request, pk: str) -> Response:
        """Change the plan that waits for approval."""
        data = PlanEditSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        wanted = data.validated_data
        steps = tuple(
            plans.EditedStep(s["title"], tuple(s["files"]), s["detail"], tuple(s["after"]))
            for s in wanted.get("steps", ())
        )
        operation = plans.edit(
            by=request.user, operation_id=pk, summary=wanted.get("summary"), steps=steps if "steps" in wanted else None
        )
        return self._answer(operation)

    @extend_schema(responses=AccountSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def budget(self, request: Request, pk: str) -> Response:
        """What it and those it belongs to have spent, and may."""
        states = budgets.of(by=request.user, operation_id=pk, now=timezone.now())
        return Response([AccountSerializer(state).data for state in states])

    @extend_schema(request=RunBudgetSerializer, responses={202: OperationSerializer})
    @budget.mapping.put
    def set_budget(self, request: Request, pk: str) -> Response:
        """Set what it may spend in all; where it waits for that, it goes on."""
        data = RunBudgetSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        operation = budgets.raise_run(by=request.user, operation_id=pk, now=timezone.now(), **data.validated_data)
        return self._answer(operation, status.HTTP_202_ACCEPTED)

    @extend_schema(responses=StepSerializer(many=True))
    @action(detail=True, ordering=("pk",))
    def steps(self, request: Request, pk: str) -> Response:
        """Every attempt at every stage, in order."""
        steps: Any = policy.operation(request.user, pk).steps.all()
        page: Any = self.paginate_queryset(steps)
        return self.get_paginated_response(StepSerializer(page, many=True).data)

    @extend_schema(parameters=[AfterParameters], responses=EventSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def events(self, request: Request, pk: str) -> Response:
        """Its journal behind ``?after=SEQ``, at most 1000 events."""
        asked = AfterParameters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        operation = policy.operation(request.user, pk)
        found = replay(operation.topic, after=asked.validated_data["after"])
        return Response(EventSerializer(found, many=True).data)

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

    @extend_schema(responses=DeliveredSerializer(many=True))
    @action(detail=True, pagination_class=None)
    def pull_requests(self, request: Request, pk: str) -> Response:
        """Its pull requests: state, checks, rounds, and why nothing is done about them."""
        return Response(DeliveredSerializer(delivered_page.of(policy.operation(request.user, pk)), many=True).data)

    @extend_schema(request=RoundWantedSerializer, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def rework(self, request: Request, pk: str) -> Response:
        """Another round on its open pull request, with your words or without."""
        data = RoundWantedSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        operation = decisions.another_round(by=request.user, operation_id=pk, text=data.validated_data["text"])
        return self._answer(operation, status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, pk: str) -> Response:
        """Its pull request is yours: it is watched, and nothing is done about it until you ask for a round."""
        return self._answer(decisions.leave(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """Close its pull request without merging it; the branch stays."""
        return self._answer(decisions.close(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: OperationSerializer})
    @action(detail=True, methods=["post"])
    def look(self, request: Request, pk: str) -> Response:
        """Read its pull request at the forge now."""
        return self._answer(decisions.look(by=request.user, operation_id=pk), status.HTTP_202_ACCEPTED)

    @extend_schema(responses=RecordingSerializer)
    @action(detail=True, pagination_class=None)
    def recording(self, request: Request, pk: str) -> Response:
        """Its CODE attempts as a recording, to be replayed on the same state of the repository."""
        return Response(recordings.of(policy.operation(request.user, pk)))

    def _answer(self, operation: Operation, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(operation).data, code)


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:  # cut off, two keys could become one
        raise serializers.ValidationError({"Idempotency-Key": [f"has more than {LONGEST_KEY} characters"]})
    return key


def _await_change(request: Request, operation: Operation, *, wait_s: float, known_turn: int) -> Operation:
    """The operation once it differs from what the caller knows, has ended, or the time is over."""
    seen, deadline = (known_turn, operation.status), time.monotonic() + wait_s
    now = (operation.turn, operation.status)
    while now == seen and now[1] in Operation.ACTIVE and time.monotonic() < deadline:
        connection.close()  # a waiting request holds no connection
        time.sleep(min(_LOOK_S, max(0.0, deadline - time.monotonic())))
        now = Operation.objects.values_list("turn", "status").get(pk=operation.pk)
    return policy.operation(request.user, operation.pk)


router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("operations", OperationViewSet, basename="operation")
urlpatterns = router.urls
