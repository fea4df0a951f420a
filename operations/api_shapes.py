"""The JSON shapes of the operations room."""

from __future__ import annotations

import math
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents import placement
from agents.engines.protocol import EngineKind
from agents.models import Capability, Priority
from operations import snapshots, submit
from operations.coding.changes import Diff, FileChange
from operations.models import Evidence, Operation, Project, Stage, Step, title_of
from resources.reasons import in_words

LONGEST_WAIT_S = 30.0
START_SHOWN = 200  # characters of a requirement in a list


class JsonObject(serializers.JSONField):
    """A JSON object; anything else is refused."""

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if not isinstance(value, dict):
            raise serializers.ValidationError("must be an object")
        if fault := _unstorable(value, deeper=DEEPEST):
            raise serializers.ValidationError(fault)
        return value


DEEPEST = 50  # levels of metadata


def _unstorable(value: Any, *, deeper: int) -> str:
    """Why a database would not take the value; empty when it would."""
    if isinstance(value, str):
        odd = "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)
        return "must not contain NUL or half a surrogate pair" if odd else ""
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    if inner and not deeper:
        return f"is nested deeper than {DEEPEST} levels"
    return next(filter(None, (_unstorable(item, deeper=deeper - 1) for item in inner)), "")


class ProjectSerializer(serializers.ModelSerializer[Project]):
    """A project; ``owner`` is a user name."""

    owner = serializers.CharField(source="owner.username", read_only=True)
    base_branch = serializers.CharField(max_length=200, allow_blank=True, required=False)
    metadata = JsonObject(required=False)

    class Meta:
        model = Project
        fields = ("id", "name", "repository_url", "base_branch", "default_template", "metadata", "owner", "created_at")
        read_only_fields = ("id", "created_at")


class PriorityField(serializers.ChoiceField):
    """``low``, ``normal`` or ``high``; a number in the database."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[label for _, label in Priority.choices], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return Priority[str(super().to_internal_value(data)).upper()]

    def to_representation(self, value: Any) -> str:
        return str(Priority(value).label)


class SizeChoiceShape(serializers.Serializer[Any]):
    """What a berth shall have instead of what its template takes, as far as the template grants it."""

    memory_mb = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    cpu_millis = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="Thousandths of one processor core."
    )
    disk_mb = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)

    def to_internal_value(self, data: Any) -> Any:
        """A name that is not known would otherwise be a wish that nobody heard."""
        unknown = sorted(map(str, set(data) - set(self.fields))) if isinstance(data, dict) else ()
        if unknown:
            known = ", ".join(self.fields)
            raise serializers.ValidationError({name: [f"is not known here: choose among {known}"] for name in unknown})
        return super().to_internal_value(data)


class SubmissionSerializer(serializers.Serializer[Operation]):
    """What a request for an operation holds."""

    type = serializers.ChoiceField(choices=Operation.Type.choices, default=Operation.Type.CODING)
    project_id = serializers.UUIDField()
    requirements = serializers.CharField(trim_whitespace=False, allow_blank=True)
    engine = serializers.CharField(max_length=20, default=EngineKind.AUTO.value)
    template = serializers.CharField(max_length=80, required=False)
    size = SizeChoiceShape(required=False)
    priority = PriorityField(required=False)
    capability = serializers.CharField(max_length=20, default=Capability.DEVELOPMENT.value)
    approval = serializers.ChoiceField(choices=Operation.Approval.choices, default=Operation.Approval.NONE)
    metadata = JsonObject(required=False)


class EngineShape(serializers.Serializer[Any]):
    """The engine that was picked, or asked for; the label says what it is, and whether AI was used."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in EngineKind])
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment] # a field of that name


class ReasonShape(serializers.Serializer[Any]):
    """One reason why it does not go on; each kind has fields of its own."""

    kind = serializers.CharField()
    words = serializers.CharField(help_text="The same for people.")


class AttentionShape(serializers.Serializer[Any]):
    """What it needs from a person."""

    kind = serializers.ChoiceField(choices=["none", "budget_low", "input_required", "approval_required", "error"])
    reason = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """An operation, derived parts included."""

    engine = serializers.SerializerMethodField()
    size = SizeChoiceShape(read_only=True)
    progress = serializers.FloatField(read_only=True, min_value=0, max_value=1)
    priority = PriorityField(read_only=True)
    blocked_by = serializers.SerializerMethodField()
    queue_position = serializers.SerializerMethodField()
    attention = serializers.SerializerMethodField()
    title = serializers.CharField(read_only=True)
    requirements_size = serializers.SerializerMethodField(help_text="Characters of the whole requirement.")
    requirements_truncated = serializers.SerializerMethodField(
        help_text="Whether `requirements` is only its start, as in lists."
    )
    error = serializers.DictField(read_only=True, allow_null=True)
    result = serializers.DictField(read_only=True, allow_null=True)
    metadata = serializers.DictField(read_only=True)

    class Meta:
        model = Operation
        fields = (
            "id", "type", "title", "project_id", "agent_id", "capability", "requirements", "requirements_size",
            "requirements_truncated", "engine", "template", "size", "status", "stage", "turn", "progress", "priority",
            "approval", "blocked_by", "queue_position", "attention", "take_over_by", "retry_count", "retry_strategy",
            "last_retry_at", "created_at", "started_at", "completed_at", "error", "result", "metadata",
        )  # fmt: skip
        read_only_fields = fields

    def get_requirements_size(self, operation: Operation) -> int:
        return len(operation.requirements)

    def get_requirements_truncated(self, operation: Operation) -> bool:
        return False

    @extend_schema_field(EngineShape)
    def get_engine(self, operation: Operation) -> dict[str, str]:
        return {"kind": operation.engine_kind or operation.engine, "label": operation.engine_label}

    @extend_schema_field(ReasonShape(many=True))
    def get_blocked_by(self, operation: Operation) -> list[dict[str, Any]]:
        return [{**reason, "words": in_words(reason)} for reason in snapshots.blocked_by(operation)]

    def get_queue_position(self, operation: Operation) -> int | None:
        if operation.status != Operation.Status.WAITING or operation.agent is None:
            return None
        return placement.queue_in(cast("dict[str, Any]", self.context)).position(operation.agent)

    @extend_schema_field(AttentionShape)
    def get_attention(self, operation: Operation) -> dict[str, Any]:
        return snapshots.attention(operation)


class OperationLineSerializer(OperationSerializer):
    """An operation in a list: of its requirement the first 200 characters; the operation itself has all of it."""

    title = serializers.SerializerMethodField()  # type: ignore[assignment] # for a line, made from the start
    requirements = serializers.SerializerMethodField()

    def get_title(self, operation: Any) -> str:
        return title_of(operation.requirements_start)

    def get_requirements(self, operation: Any) -> str:
        return str(operation.requirements_start[:START_SHOWN])

    def get_requirements_size(self, operation: Any) -> int:
        return int(operation.requirements_size)

    def get_requirements_truncated(self, operation: Any) -> bool:
        return self.get_requirements_size(operation) > START_SHOWN


class OperationFilter(serializers.Serializer[Any]):
    """Which operations a list holds."""

    status = serializers.ChoiceField(choices=Operation.Status.choices, required=False)
    project_id = serializers.UUIDField(required=False)
    agent_id = serializers.UUIDField(required=False)


class WaitParameters(serializers.Serializer[Any]):
    """How long to wait for which change."""

    wait = serializers.FloatField(
        default=0, min_value=0, max_value=LONGEST_WAIT_S, help_text="Seconds to wait for a change."
    )
    turn = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1,
        help_text="The turn that you know: a change since then is answered at once.",
    )  # fmt: skip

    def validate_wait(self, seconds: float) -> float:
        """Not a number is neither less nor more than anything."""
        if math.isnan(seconds):
            raise serializers.ValidationError("must be a number")
        return seconds


class AfterParameters(serializers.Serializer[Any]):
    """Where to go on reading."""

    after = serializers.IntegerField(default=0, min_value=0, max_value=2**62, help_text="The last number you have.")


class AnswerSerializer(serializers.Serializer[Any]):
    """The answer to a question."""

    text = serializers.CharField(max_length=submit.LONGEST_ANSWER)


class RoundWantedSerializer(serializers.Serializer[Any]):
    """What another round should do; empty: mend what is the matter."""

    text = serializers.CharField(max_length=submit.LONGEST_ANSWER, allow_blank=True, default="")


class RetrySerializer(serializers.Serializer[Any]):
    """Where to go on."""

    stage = serializers.ChoiceField(
        choices=Stage.choices, required=False, help_text="The stage that failed, where none is given; or one before it."
    )


class StepSerializer(serializers.ModelSerializer[Step]):
    """One attempt at one stage."""

    class Meta:
        model = Step
        fields = (
            "turn", "stage", "attempt", "outcome", "worker", "started_at", "finished_at", "product", "fault", "action",
            "log",
        )  # fmt: skip
        read_only_fields = fields


class EvidenceSerializer(serializers.ModelSerializer[Evidence]):
    """What was seen on which tree."""

    class Meta:
        model = Evidence
        fields = (
            "id", "turn", "kind", "name", "tree", "passed", "command", "exit_code", "counts", "detail", "tier",
            "created_at",
        )  # fmt: skip
        read_only_fields = fields


class FileChangeSerializer(serializers.Serializer[FileChange]):
    """One changed file."""

    path = serializers.CharField()
    status = serializers.CharField()
    insertions = serializers.IntegerField()
    deletions = serializers.IntegerField()
    binary = serializers.BooleanField()


class DiffSerializer(serializers.Serializer[Diff]):
    """A unified diff with its counts."""

    files = FileChangeSerializer(many=True, source="changes")
    insertions = serializers.IntegerField()
    deletions = serializers.IntegerField()
    truncated = serializers.BooleanField()
    text = serializers.CharField()


class RecordingSerializer(serializers.Serializer[Any]):
    """What the replay engine reads."""

    format = serializers.IntegerField()
    recorded_at = serializers.CharField()
    engine_label = serializers.CharField()
    base_tree = serializers.CharField()
    attempts = serializers.ListField(child=serializers.DictField())


class PlannedStepSerializer(serializers.Serializer[Any]):
    """One intended change."""

    title = serializers.CharField(max_length=300)
    files = serializers.ListField(child=serializers.CharField(max_length=500), max_length=50, default=list)
    detail = serializers.CharField(max_length=4000, allow_blank=True, default="")
    after = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=30), max_length=30, default=list,
        help_text="Numbers of the earlier steps it needs, from 1. Steps that share no file and need none of each other "
        "may be carried out at the same time.",
    )  # fmt: skip


class PlanEditSerializer(serializers.Serializer[Any]):
    """What of the plan is replaced."""

    summary = serializers.CharField(max_length=1000, required=False)
    steps = serializers.ListField(child=PlannedStepSerializer(), required=False, max_length=30, min_length=1)
