"""What the repair engine refuses with."""

from __future__ import annotations

from events.faults import Fault, FaultClass

WAYS_ON = (
    "Put a diff or a registered codemod into the requirement, configure a model (MOORAGE_MODELS), "
    "or add a test that shows the defect."
)


class NothingFails(Fault):
    """Repair is led by failing tests, and there is none."""

    code = "repair.nothing_fails"
    remedy = f"Repair needs a failing test to be led by. {WAYS_ON}"


class Unsupported(Fault):
    """The project's tests are not run by pytest, or nothing of it is Python that can be searched."""

    fault_class = FaultClass.CONFIGURATION
    code = "repair.unsupported"
    remedy = "Give the template a pytest command (spec.tests.command), or choose another engine."


class OptionsInvalid(Fault):
    """The template's options make no sense."""

    fault_class = FaultClass.CONFIGURATION
    code = "repair.options_invalid"
    remedy = "Correct spec.engine.options of the template."


class NotLoadable(Fault):
    """pytest cannot import the tests, or the project, so nothing can be tried."""

    code = "repair.not_loadable"
    remedy = f"Mend the import by hand first. {WAYS_ON}"


class NotFound(Fault):
    """No edit that was tried makes the failing tests pass and keeps the others."""

    code = "repair.not_found"
    remedy = (
        "Give it more room (spec.engine.options.seconds and .candidates), or another way: put a diff into the "
        "requirement, or configure a model (MOORAGE_MODELS)."
    )


class SearchBroken(Fault):
    """The search's process in the sandbox ended without an answer."""

    fault_class = FaultClass.TRANSIENT
    code = "repair.search_broken"
    remedy = "It is tried again; if it stays so, give the template more memory or processes."


class SearchStopped(Fault):
    """The operation was cancelled while it searched."""

    code = "repair.stopped"
    remedy = "Retry the operation; the search goes on where it was."
