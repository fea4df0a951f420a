"""Faults that are known where no row is: without the models of this room."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class FleetPaused(Fault):
    """Not now: the fleet is paused. No failure of whatever meets it."""

    fault_class = FaultClass.TRANSIENT
    code = "fleet.paused"
    http_status = 423  # none of those that clients of models try again by themselves
    remedy = "It goes on by itself once staff releases the fleet: `moorage fleet release`."
