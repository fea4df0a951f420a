"""What the gateway refuses, and why. The codes travel to clients in the provider's own error form."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class TokenRefused(Fault):
    """No run token, or one that is unknown, over, or withdrawn."""

    fault_class = FaultClass.CONFIGURATION
    code = "gateway.token_refused"
    http_status = 401
    remedy = "Tokens are given to a run and end with it: start the run again."


class ModelNotAllowed(Fault):
    """The run may not ask this model."""

    fault_class = FaultClass.CONFIGURATION
    code = "gateway.model_not_allowed"
    http_status = 403
    remedy = "Ask one of the models named, or add it to MOORAGE_MODELS."


class BadCall(Fault):
    """The request cannot be passed on: unreadable, or something in it has no price that could be reserved."""

    code = "gateway.bad_call"
    http_status = 400
    remedy = "Set the program up so that it leaves it out; docs/external.md has what was needed for some."


class TooLong(BadCall):
    """The request has more bytes than any that could be meant."""

    http_status = 413


class Slow(BadCall):
    """The client did not send its request in time."""

    http_status = 408


class NotServed(Fault):
    """There is no such path."""

    code = "gateway.not_served"
    http_status = 404
    remedy = (
        "There are /openai/v1/chat/completions, /openai/v1/responses, /anthropic/v1/messages, /ollama/api/chat and "
        "/ollama/v1/chat/completions."
    )


class PriceUnknown(Fault):
    """The model has no price, and the operator does not want it charged at the dearest."""

    fault_class = FaultClass.CONFIGURATION
    code = "budget.price_unknown"
    http_status = 402
    remedy = "Give its price in the file of MOORAGE_MODEL_PRICES, or set MOORAGE_UNKNOWN_PRICE=dearest."


class BudgetExhausted(Fault):
    """The call could cost more than a budget still holds. ``facts`` name the budget and the amounts in dollars."""

    fault_class = FaultClass.RESOURCE
    code = "budget.exhausted"
    http_status = 402
    remedy = "Raise the budget; the operation then goes on where it waits, and pays for nothing twice."


class BudgetHeld(Fault):
    """The budget has room once the calls in flight are settled."""

    fault_class = FaultClass.TRANSIENT
    code = "budget.held"
    http_status = 429
    remedy = "Calls in flight hold the rest of the budget; it is tried again."


class ProviderParked(Fault):
    """The provider said until when it wants no call with this key."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.rate_limited"
    http_status = 429
    remedy = "It goes on by itself at the time named; a further provider in MOORAGE_MODELS helps."


class Unreachable(Fault):
    """The provider cannot be reached, or broke off."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.unavailable"
    http_status = 503
    remedy = "It is tried again; a further provider in MOORAGE_MODELS helps."


class Late(Fault):
    """The provider did not answer in time."""

    fault_class = FaultClass.TRANSIENT
    code = "llm.timeout"
    http_status = 504
    remedy = "It is tried again; a longer MOORAGE_MODEL_TIMEOUT_S or a faster model helps."


class Malfunction(Fault):
    """The gateway itself cannot work: its database or its price file."""

    fault_class = FaultClass.TRANSIENT
    code = "gateway.malfunction"
    http_status = 503
    remedy = "Look at the gateway's log."


class BadBudget(Fault):
    """A budget that names nothing, or is no amount."""

    code = "budget.bad"
    http_status = 400
