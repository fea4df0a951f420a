"""What can go wrong with a terminal."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class TerminalNotFound(Fault):
    """No terminal of this id, for this user."""

    code = "terminal.not_found"
    http_status = 404
    remedy = "GET /api/v1/sessions/ lists the terminals that you may see."


class TerminalNotOpen(Fault):
    """The terminal shows nothing now: not open yet, or not any more."""

    code = "terminal.not_open"
    http_status = 409
    remedy = "Look at its state and reason: GET /api/v1/sessions/{id}/."


class NoRecording(Fault):
    """Nothing was recorded of the terminal, or it is not kept any more, or not here."""

    code = "terminal.no_recording"
    http_status = 404
    remedy = (
        "MOORAGE_TERMINAL_RECORDING says what is recorded, MOORAGE_TERMINAL_RECORDING_DAYS for how long it is kept."
    )


class AgentNotRunning(Fault):
    """A terminal needs a berth, and only a running agent has one."""

    code = "terminal.agent_not_running"
    http_status = 409
    remedy = "Wait until the agent runs, or retry it: POST /api/v1/agents/{id}/retry/."


class TooManyTerminals(Fault):
    """The agent has as many open terminals as one may have."""

    fault_class = FaultClass.RESOURCE
    code = "terminal.too_many"
    http_status = 409
    remedy = "Close one of them: POST /api/v1/sessions/{id}/close/."


class NotTheOwner(Fault):
    """A guest wants what only the owner of the terminal or of its agent may do, or staff."""

    code = "terminal.not_the_owner"
    http_status = 403
    remedy = "Ask its owner: GET /api/v1/sessions/{id}/ names them."


class GuestNotFound(Fault):
    """Nobody of this name can be let in, or was."""

    code = "terminal.guest_not_found"
    http_status = 404
    remedy = "Give the user name of an active account; GET /api/v1/sessions/{id}/share/ lists who was let in."


class IllegalTransition(Fault):
    """The terminal's state does not allow it; says which state it is in."""

    code = "terminal.illegal_transition"
    http_status = 409
    remedy = "Look at the terminal's state: GET /api/v1/sessions/{id}/."


class StaleGeneration(Fault):
    """Somebody else changed the terminal in between, and nothing was written."""

    fault_class = FaultClass.TRANSIENT
    code = "terminal.stale_generation"
    http_status = 409
    remedy = "Read the terminal again and repeat what you meant."


class SessionHostAway(Fault):
    """The daemon that owns the terminals of a host does not answer."""

    fault_class = FaultClass.RESOURCE
    code = "terminal.session_host_away"
    http_status = 503
    remedy = "Start it on that host: `python manage.py sessionhost` (`make up` does so)."


class SessionHostTaken(Fault):
    """A second session host for the same host name: two would fight for the same terminals."""

    fault_class = FaultClass.CONFIGURATION
    code = "terminal.session_host_taken"
    remedy = "Stop the other one, or give each host a MOORAGE_HOST_NAME and MOORAGE_DATA of its own."


class UpgradeRefused(Fault):
    """A running session host does not become the program that is installed now."""

    fault_class = FaultClass.CONFIGURATION
    code = "terminal.upgrade_refused"
    remedy = "Look at its log; a restart ends its terminals, and is always possible."


class SocketPathTooLong(Fault):
    """The kernel takes no unix socket of so long a name."""

    fault_class = FaultClass.CONFIGURATION
    code = "terminal.socket_path_too_long"
    remedy = "Set MOORAGE_DATA to a shorter path."
