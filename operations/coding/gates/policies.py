"""What a template says of each gate: refuse the change, ask a person, or let it through with a note."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Policy(StrEnum):
    """What happens to a change in which a gate finds something."""

    DENY = "deny"
    ASK = "ask"
    ALLOW = "allow"


_OF_ALL = {"refuse": Policy.DENY, "ask": Policy.ASK}


def policy_for(name: str, limits: Mapping[str, Any]) -> Policy:
    """The gate's own line in ``policy`` (its name with underscores), else what ``on_violation`` says of all."""
    own = limits.get("policy", {}).get(name.replace(" ", "_"))
    return Policy(own) if own else _OF_ALL[limits.get("on_violation", "refuse")]
