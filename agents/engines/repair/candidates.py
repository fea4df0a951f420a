"""All single edits of the suspicious functions, best first; and pairs of the best ones."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from agents.engines.repair.function import Function
from agents.engines.repair.operators import OPERATORS
from agents.engines.repair.proposals import Candidate, Proposal
from agents.engines.repair.source import FUNCTIONS, Edit, Source
from agents.engines.repair.survey import Survey

NOT_EXECUTED = 0.03  # the factor of lines that no failing test reaches
MODULE_LEVEL = 0.4
CRASHED = 1.25
PAIRED = 110  # of the best singles are combined with each other
SAME = 4.0  # how much more plausible a pair is whose edits are the same
# Where nothing ends, an end is missing, or a step towards it.
ENDINGS = frozenset(
    {"base case", "early return", "loop left", "statement added", "statement deleted", "statement mirrored"}
)
ENDED = 2.0
CROWD = 150  # so many of one operator, and the next is worth half


def functions_of(source: Source, survey: Survey) -> list[Function]:
    """The functions that failing tests execute, and the module's own statements."""
    found = []
    for node, name in _definitions(source.tree, ""):
        function = Function(source, node, name, types=survey.types, attributes=survey.attributes)
        if function.body and any(survey.suspicion(source.path, line) for line in _lines(node)):
            found.append(function)
    module = Function(source, source.tree, "", types=survey.types, attributes=survey.attributes)
    return [*found, module]


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Outermost functions and methods, with their qualified names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            yield child, prefix + child.name
        elif isinstance(child, ast.ClassDef):
            yield from _definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _definitions(child, prefix)


def _lines(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def single(sources: Iterable[Source], survey: Survey) -> list[Candidate]:
    """Every single edit, each once, by falling score."""
    found: dict[str, Candidate] = {}
    for source in sources:
        for function in functions_of(source, survey):
            for operator in OPERATORS:
                for proposal in operator(function):
                    candidate = _candidate(function, proposal, survey)
                    known = found.get(candidate.identity)
                    if known is None or known.score < candidate.score:
                        found[candidate.identity] = candidate
    return _spread(found.values())


def _candidate(function: Function, proposal: Proposal, survey: Survey) -> Candidate:
    path = function.source.path
    if function.name:
        body = function.body[0]
        start = function.source.span(body)[0]
        used = survey.imported.get(path, frozenset())
        at_import = any(line in used for line in _lines(body) if line > getattr(function.node, "lineno", 0))
        before = function.source.starts[body.lineno - 1]
        fresh = at_import or any(edit.start < min(start, before) for edit in proposal.edits)
        factor = _suspicion(function, proposal, survey)
    else:
        fresh, factor = True, MODULE_LEVEL
    if survey.endless and proposal.operator in ENDINGS:
        factor *= ENDED
    score = proposal.prior * factor * _brevity(function.source, proposal.edits)
    return Candidate(path, function.name, function.first_line, fresh, proposal, score)


def _suspicion(function: Function, proposal: Proposal, survey: Survey) -> float:
    path, line = function.source.path, proposal.line
    suspicion = max(survey.suspicion(path, line), survey.suspicion(path, _statement_line(function, line)))
    if not suspicion:
        return NOT_EXECUTED
    return (0.25 + 0.75 * suspicion) * (CRASHED if survey.crashes(path, line) else 1.0)


def _statement_line(function: Function, line: int) -> int:
    """Where the statement begins that the line is part of: the tracer sees only some lines of long ones."""
    return max((one.lineno for one in function.statements if one.lineno <= line <= (one.end_lineno or 0)), default=line)


def _brevity(source: Source, edits: Sequence[Edit]) -> float:
    """Small edits first: 1 for a few characters, at least 0.8."""
    size = sum(abs(len(edit.text) - (edit.stop - edit.start)) + 1 for edit in edits)
    return 1.0 - min(size, 100) / 500


def _spread(candidates: Iterable[Candidate]) -> list[Candidate]:
    """By score, where an operator that has very much to say must let others speak in between."""
    groups: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=_order):
        groups[candidate.proposal.operator].append(candidate)
    spread = [
        replace(candidate, score=candidate.score / (1 + place / CROWD))
        for group in groups.values()
        for place, candidate in enumerate(group)
    ]
    return sorted(spread, key=_order)


def _order(candidate: Candidate) -> tuple[float, str, int, str]:
    first = min(edit.start for edit in candidate.proposal.edits)
    return (-candidate.score, candidate.path, first, candidate.identity)


def pairs(candidates: Sequence[Candidate], fixed: Mapping[str, int], *, most: int) -> list[Candidate]:
    """Two edits of one function that do not touch: first those of which one already mends a test, by score."""
    helpful = sorted((one for one in candidates if fixed.get(one.identity)), key=lambda one: -fixed[one.identity])[:12]
    best = candidates[:PAIRED]
    found: dict[str, Candidate] = {}
    for firsts, seconds in ((helpful, candidates[:300]), (best, best)):
        for one in firsts:
            for other in seconds:
                if one is other or one.path != other.path or not _apart(one.proposal, other.proposal):
                    continue
                weight = 1.0 + fixed.get(one.identity, 0) + fixed.get(other.identity, 0)
                both = _both(one, other, weight)
                found.setdefault(both.identity, both)
    for both in _same_twice(candidates):
        found[both.identity] = both
    return sorted(found.values(), key=_order)[:most]


def _same_twice(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """The same replacement in two places of a function: whoever is wrong once often is wrong throughout."""
    alike: defaultdict[tuple[str, str, str], list[Candidate]] = defaultdict(list)
    for one in candidates:
        alike[one.path, one.function, one.proposal.words].append(one)
    for group in alike.values():
        for place, one in enumerate(group[:6]):
            for other in group[place + 1 : 6]:
                if _apart(one.proposal, other.proposal):
                    yield _both(one, other, SAME)


def _apart(one: Proposal, other: Proposal) -> bool:
    return all(
        (a.stop < b.start or b.stop < a.start) or (a.stop == b.start and a.start < a.stop)
        for a in one.edits
        for b in other.edits
    )


def _both(one: Candidate, other: Candidate, weight: float) -> Candidate:
    edits = tuple(sorted((*one.proposal.edits, *other.proposal.edits), key=lambda edit: (edit.start, edit.stop)))
    first, second = sorted((one, other), key=lambda candidate: candidate.proposal.line)
    proposal = Proposal(
        edits, one.proposal.prior * other.proposal.prior, "two edits", first.proposal.line,
        f"{first.proposal.words}; {second.proposal.words}",
    )  # fmt: skip
    together = one.function == other.function
    return Candidate(
        path=one.path,
        function=one.function if together else "",
        first_line=one.first_line if together else 0,
        fresh=one.fresh or other.fresh or not together,
        proposal=proposal,
        score=one.score * other.score * weight,
    )
