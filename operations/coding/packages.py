"""The packages that a template names: seen to before anything of the project runs in a berth."""

from __future__ import annotations

from events.faults import Fault, FaultClass
from operations.coding.context import Context, Level
from resources.sandboxes import packages
from resources.sandboxes.protocol import SandboxFailed

OUTPUT_KEPT = 2000  # characters of what went wrong that go with the fault


class PackagesMissing(Fault):
    """The berth lacks packages that its template names, and may reach nothing to get them from."""

    fault_class = FaultClass.CONFIGURATION
    code = "packages.missing"
    remedy = (
        "Put them into the image or install them on the host; or let the template reach a mirror: "
        "`network.mirror: true`, or `network.allow` with the hosts that have them."
    )


class PackagesFailed(Fault):
    """Packages could not be got, or not in time."""

    fault_class = FaultClass.CONFIGURATION
    code = "packages.failed"
    remedy = (
        "Look at the end of its output: a name may be wrong, or a host not be allowed (`egress.denied` events name it)."
    )


def provide(context: Context) -> None:
    """Have the berth get what it lacks, once; what it has costs nothing.

    Bounded by ``hooks.setup_timeout_s``. Raises PackagesMissing and PackagesFailed.
    """
    wanted = tuple(context.spec.get("packages", ()))
    try:
        lacking = packages.missing(context.sandbox, wanted)
    except SandboxFailed as unknown:  # an image without Python: whoever made it knows what is in it
        context.say(f"packages: {unknown.detail}", level=Level.WARNING)
        return
    if not lacking:
        return
    names = " ".join(lacking)
    if not packages.has_way_out(context.sandbox):
        raise PackagesMissing(f"not in this berth: {names}", packages=list(lacking))
    timeout_s = context.spec["hooks"]["setup_timeout_s"]
    context.say(f"packages: getting {names}, within {timeout_s:g} s")
    outcome = packages.get(context.watched, lacking, timeout_s=timeout_s, cancelled=context.lost)
    context.check()
    output = outcome.text(OUTPUT_KEPT).strip()
    context.say(output, level=Level.DEBUG if outcome.ok else Level.ERROR)
    if not outcome.ok:
        ended = f"within {timeout_s:g} s" if outcome.timed_out else "at all"
        raise PackagesFailed(f"packages could not be got {ended}: {names}", packages=list(lacking), output=output)
    context.say(f"packages: there after {outcome.duration_s:.1f} s")
