"""The providers' published prices for standard calls, in dollars per million tokens, each from a day on.

Sources: developers.openai.com/api/docs/pricing and platform.claude.com/docs/en/about-claude/pricing with their release
notes, as known on 2026-11-30. The day is the first on which we know the price to hold; an earlier price stays in the
list, so that a call of that time is priced as it was. An operator's own list (MOORAGE_MODEL_PRICES) goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from agents.gateway.prices import Entry, Usd


@dataclass(frozen=True, slots=True)
class Long:
    """A call with more input than this costs so many times as much, all of it."""

    above: int
    read_times: float
    said_times: float

    def tier(self, usd: Usd) -> tuple[int, Usd]:
        """The rates of such a call."""
        read = (usd.input * self.read_times, usd.cached * self.read_times, usd.written * self.read_times)
        return self.above, Usd(read[0], usd.output * self.said_times, *read[1:])


_OPENAI_LONG = Long(272_000, 2, 1.5)


def _openai(
    model: str, since: str, usd_in: float, usd_out: float, cached: float, written: float = 0, long: Long | None = None
) -> Entry:
    # Writing the cache costs nothing beside the input where no price is named for it.
    return _entry(f"openai/{model}", since, Usd(usd_in, usd_out, cached, written or usd_in), long)


def _anthropic(
    model: str, since: str, usd_in: float, usd_out: float, cached: float = 0.1, long: Long | None = None
) -> Entry:
    """``cached`` is the share of the input's price that a read of the cache costs, mostly a tenth.

    Writing costs 1.25 times the input for five minutes and twice for an hour; answers do not say which it was for us.
    """
    return _entry(f"anthropic/{model}", since, Usd(usd_in, usd_out, usd_in * cached, usd_in * 2), long)


def _entry(model: str, since: str, usd: Usd, long: Long | None) -> Entry:
    return Entry(model, date.fromisoformat(since), usd, (long.tier(usd),) if long else ())


LIST: tuple[Entry, ...] = (
    _openai("gpt-4o", "2024-10-01", 2.50, 10, 1.25),
    _openai("gpt-4o-mini", "2024-10-01", 0.15, 0.60, 0.075),
    _openai("o1", "2024-12-17", 15, 60, 7.50),
    _openai("o3-mini", "2025-01-31", 1.10, 4.40, 0.55),
    _openai("gpt-4.1", "2025-04-14", 2, 8, 0.50),
    _openai("gpt-4.1-mini", "2025-04-14", 0.40, 1.60, 0.10),
    _openai("gpt-4.1-nano", "2025-04-14", 0.10, 0.40, 0.025),
    _openai("o3", "2025-06-10", 2, 8, 0.50),
    _openai("o3-pro", "2025-06-10", 20, 80, 20),
    _openai("o4-mini", "2025-04-16", 1.10, 4.40, 0.275),
    _openai("gpt-5", "2025-08-07", 1.25, 10, 0.125),
    _openai("gpt-5-mini", "2025-08-07", 0.25, 2, 0.025),
    _openai("gpt-5-nano", "2025-08-07", 0.05, 0.40, 0.005),
    _openai("gpt-5-codex", "2025-09-23", 1.25, 10, 0.125),
    _openai("gpt-5-pro", "2025-10-06", 15, 120, 15),
    _openai("gpt-5.1", "2025-11-13", 1.25, 10, 0.125),
    _openai("gpt-5.1-codex", "2025-11-13", 1.25, 10, 0.125),
    _openai("gpt-5.1-codex-mini", "2025-11-13", 0.25, 2, 0.025),
    _openai("gpt-5.2", "2025-12-11", 1.75, 14, 0.175),
    _openai("gpt-5.2-pro", "2025-12-11", 21, 168, 21),
    _openai("gpt-5.2-codex", "2026-01-14", 1.75, 14, 0.175),
    _openai("gpt-5.3-codex", "2026-02-24", 1.75, 14, 0.175),
    _openai("gpt-5.4", "2026-03-05", 2.50, 15, 0.25, long=_OPENAI_LONG),
    _openai("gpt-5.4-pro", "2026-03-05", 30, 180, 30, long=_OPENAI_LONG),
    _openai("gpt-5.4-mini", "2026-03-21", 0.75, 4.50, 0.075),
    _openai("gpt-5.4-nano", "2026-03-21", 0.20, 1.25, 0.02),
    _openai("gpt-5.5", "2026-05-15", 5, 30, 0.50, long=_OPENAI_LONG),
    _openai("gpt-5.5-pro", "2026-05-15", 30, 180, 30, long=_OPENAI_LONG),
    _openai("gpt-5.6-sol", "2026-07-09", 5, 30, 0.50, 6.25, _OPENAI_LONG),
    _openai("gpt-5.6-terra", "2026-07-09", 2.50, 15, 0.25, 3.125, _OPENAI_LONG),
    _openai("gpt-5.6-luna", "2026-07-09", 1, 6, 0.10, 1.25, _OPENAI_LONG),
    _openai("gpt-5.6-terra", "2026-07-30", 2, 12, 0.20, 2.50, _OPENAI_LONG),
    _openai("gpt-5.6-luna", "2026-07-30", 0.20, 1.20, 0.02, 0.25, _OPENAI_LONG),
    _openai("gpt-6-astra", "2026-09-03", 10, 50, 1, 12.50, _OPENAI_LONG),
    _openai("gpt-6-sol", "2026-09-22", 2, 10, 0.20, 2.50, _OPENAI_LONG),
    _openai("gpt-6-luna", "2026-09-22", 0.10, 0.50, 0.01, 0.125, _OPENAI_LONG),
    _openai("gpt-6.1-sol", "2026-09-30", 2, 10, 0.10, 2.50, _OPENAI_LONG),
    _openai("gpt-6.1-terra", "2026-10-26", 1, 5, 0.05, 1.25, _OPENAI_LONG),
    _anthropic("claude-3-haiku", "2024-03-13", 0.25, 1.25, 0.12),
    _anthropic("claude-3-opus", "2024-03-04", 15, 75),
    _anthropic("claude-3-5-sonnet", "2024-06-20", 3, 15),
    _anthropic("claude-3-5-haiku", "2024-11-04", 0.80, 4),
    _anthropic("claude-3-7-sonnet", "2025-02-24", 3, 15),
    _anthropic("claude-sonnet-4", "2025-05-22", 3, 15),
    _anthropic("claude-opus-4", "2025-05-22", 15, 75),
    _anthropic("claude-opus-4-1", "2025-08-05", 15, 75),
    _anthropic("claude-sonnet-4-5", "2025-09-29", 3, 15),
    _anthropic("claude-haiku-4-5", "2025-10-15", 1, 5),
    _anthropic("claude-opus-4-5", "2025-11-24", 5, 25),
    _anthropic("claude-opus-4-6", "2026-01-01", 5, 25),
    _anthropic("claude-sonnet-4-6", "2026-01-01", 3, 15),
    _anthropic("claude-opus-4-7", "2026-03-01", 5, 25),
    _anthropic("claude-opus-4-8", "2026-05-01", 5, 25),
    _anthropic("claude-opus-5", "2026-06-01", 5, 25),
    _anthropic("claude-sonnet-5", "2026-06-30", 2, 10),
    _anthropic("claude-fable-5", "2026-06-01", 10, 50),
    _anthropic("claude-mythos-5", "2026-06-01", 10, 50),
    _anthropic("claude-fable-5-1", "2026-09-01", 10, 50, 0.025),
    _anthropic("claude-mythos-5-1", "2026-09-01", 10, 50, 0.025),
    _anthropic("claude-opus-5-5", "2026-09-22", 4, 20, 0.05),
    _anthropic("claude-sonnet-5-5", "2026-09-28", 2, 10),
    _anthropic("claude-sonnet-5-5", "2026-10-07", 2, 10, 0.05),
    _anthropic("claude-haiku-5-5", "2026-10-07", 0.10, 0.50, long=Long(100_000, 5, 5)),
)
