"""Which refusals become events: the first of each, then silence for a while; never more than a handful. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

AGAIN_S = 600.0  # a repeated refusal is news again after so long
AT_ONCE = 20  # different ones of one berth within that time; the next says only that there are more


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal to be recorded; ``repeated`` is how often it happened unrecorded since the last one."""

    host: str  # empty where no valid host was named
    port: int
    reason: str
    repeated: int = 0


@dataclass(slots=True)
class Denials:
    """The refusals of one berth, by what was refused."""

    _seen: dict[tuple[str, int, str], tuple[float, int]] = field(default_factory=dict)
    _overflow: tuple[float, int] | None = None

    def note(self, host: str, port: int, reason: str, *, now: float) -> Denial | None:
        """The refusal if it is news; ``now`` in monotonic seconds."""
        key = (host, port, reason)
        if (known := self._seen.get(key)) and now - known[0] < AGAIN_S:
            self._seen[key] = (known[0], known[1] + 1)
            return None
        repeated = known[1] if known else 0
        self._seen = {k: v for k, v in self._seen.items() if now - v[0] < AGAIN_S}
        if len(self._seen) < AT_ONCE:
            self._seen[key] = (now, 0)
            return Denial(host, port, reason, repeated)
        if self._overflow and now - self._overflow[0] < AGAIN_S:
            self._overflow = (self._overflow[0], self._overflow[1] + 1)
            return None
        repeated = self._overflow[1] if self._overflow else 0
        self._overflow = (now, 0)
        return Denial("", 0, "denials.more", repeated)
