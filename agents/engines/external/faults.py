"""How an agent program can fail, and whose turn it is then."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class ProgramMissing(Fault):
    """The berth has no such program, or may not run it."""

    fault_class = FaultClass.CONFIGURATION
    code = "external.not_found"
    remedy = "Install it in the template's image or in the host's toolchain, or correct `engine.external.program`."


class ProgramEnded(Fault):
    """The program ended before its turn did."""

    fault_class = FaultClass.TRANSIENT
    code = "external.ended"
    remedy = "It is started again a few times; read the end of its errors in the stage's log."


class ProgramSilent(Fault):
    """The program does not greet."""

    fault_class = FaultClass.TRANSIENT
    code = "external.silent"
    remedy = "Check that `engine.external.program` speaks the Agent Client Protocol, or choose `mode: command`."


class ProgramLate(Fault):
    """The program was at work for longer than any may be."""

    code = "external.time_limit"
    remedy = "Ask for less at a time, then retry."


class ProgramFailed(Fault):
    """The program answers a request of ours with an error."""

    fault_class = FaultClass.TRANSIENT
    code = "external.failed"
    remedy = "It is started again a few times; read what it says in the stage's log."


class NotOurProtocol(Fault):
    """What the program says is not the Agent Client Protocol."""

    code = "external.protocol"
    remedy = "Check `engine.external.program` and its version; `mode: command` is for programs without the protocol."


class Flood(Fault):
    """The program says more than anybody would read."""

    code = "external.flood"
    remedy = "Make it say less; it is ended so that it fills neither memory nor log."


class OtherVersion(Fault):
    """The program speaks another version of the protocol."""

    fault_class = FaultClass.CONFIGURATION
    code = "external.version"
    remedy = "Use a release of the program that speaks version 1 of the Agent Client Protocol."


class NotAuthenticated(Fault):
    """The program wants a login that it does not have."""

    fault_class = FaultClass.CONFIGURATION
    code = "external.not_authenticated"
    remedy = "Name the method that takes its key from the environment in `engine.external.authentication`."


class ProgramRefused(Fault):
    """The program's model will not do it."""

    code = "external.refused"
    remedy = "Word the requirement otherwise, or choose another engine."


class PermissionAsked(Fault):
    """The program asks for something that the template leaves to a person. ``facts`` hold what was asked."""

    code = "external.permission_asked"
    remedy = "Approve it, or answer why not; the program then goes on and knows."


class ProgramCancelled(Fault):
    """The operation was cancelled while the program was at work."""

    code = "external.cancelled"
