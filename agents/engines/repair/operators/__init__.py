"""The edits that are searched: one module per family, each a function from a suspicious function to proposals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agents.engines.repair.function import Function
from agents.engines.repair.operators import (
    arguments,
    arithmetic,
    booleans,
    calls,
    collections_,
    comparisons,
    conditions,
    constants,
    elsewhere,
    guards,
    insertions,
    mirrored,
    negations,
    offsets,
    operands,
    results,
    reuse,
    slices,
    statements,
    variables,
)
from agents.engines.repair.proposals import Proposal

OPERATORS: tuple[Callable[[Function], Iterator[Proposal]], ...] = (
    comparisons.propose,
    arithmetic.propose,
    booleans.propose,
    constants.propose,
    offsets.propose,
    arguments.propose,
    variables.propose,
    conditions.propose,
    calls.propose,
    statements.propose,
    insertions.propose,
    guards.propose,
    results.propose,
    slices.propose,
    collections_.propose,
    reuse.propose,
    operands.propose,
    negations.propose,
    mirrored.propose,
    elsewhere.propose,
)
