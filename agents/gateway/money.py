"""Money as whole nano-dollars, so that sums are exact."""

from __future__ import annotations

from agents.gateway.faults import BadBudget

NANOS = 1_000_000_000
LARGEST_USD = 1_000_000_000  # more than any budget means; a column holds nine times as much


def nanos(usd: float) -> int:
    """Dollars as nano-dollars."""
    return round(usd * NANOS)


def usd(amount_nanos: int) -> float:
    """Nano-dollars as dollars, for JSON."""
    return round(amount_nanos / NANOS, 9)


def said(amount_nanos: int) -> str:
    """For people: cents where they matter, more digits where the amount is small."""
    dollars = amount_nanos / NANOS
    return f"${dollars:,.2f}" if abs(dollars) >= 0.1 or not amount_nanos else f"${dollars:.6f}".rstrip("0")


def amount(text: str) -> float:
    """Dollars that a person wrote. Raises :class:`BadBudget`."""
    try:
        dollars = float(text.strip().removeprefix("$"))
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars <= LARGEST_USD:
        raise BadBudget(f"{text[:40]!r} is no amount in dollars.", pointer="/usd")
    return dollars
