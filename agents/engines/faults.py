"""What an engine may refuse with, beside the protocol's own faults."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class EngineUnknown(Fault):
    """The request names an engine that does not exist."""

    code = "engine.unknown"
    remedy = "Leave the engine out, or choose one of the listed kinds."


class AlreadyApplied(Fault):
    """The change is in the repository already: there is nothing to do."""

    code = "patch.already_applied"
    remedy = "Nothing is left to do; give another change, or another base branch."


class AttemptsExhausted(Fault):
    """A deterministic engine was asked again, and would do the same again."""

    code = "engine.attempts_exhausted"
    remedy = "Correct the change itself, or submit the requirement to another engine."


class CodemodUnknown(Fault):
    """The requirement names a codemod that is not registered, or registered with other arguments."""

    code = "codemod.unknown"
    remedy = "Name one of the registered codemods, one per line."


class CodemodFailed(Fault):
    """A codemod ran and refused, or ended with an error."""

    code = "codemod.failed"
    remedy = "Read what the tool said, and correct the requirement or the named file."


class CodemodToolMissing(Fault):
    """The sandbox's toolchain lacks the program."""

    fault_class = FaultClass.CONFIGURATION
    code = "codemod.tool_missing"
    remedy = "Install ruff, libcst and pyupgrade into the toolchain (`make setup` does)."


class RecordingInvalid(Fault):
    """The recording is not in the format that replay reads."""

    code = "replay.invalid_recording"
    remedy = "Export the recording again from the operation that made it."


class OtherState(Fault):
    """The recording was made on another state of the repository."""

    code = "replay.other_state"
    remedy = "Check out the commit that the recording was made on, or record again."
