"""What an operator proposes: a few edits, how plausible they are, and how that is said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agents.engines.repair.source import Edit


@dataclass(frozen=True, slots=True)
class Proposal:
    """Edits of one function's text. ``prior`` is the operator's weight, 0 to 1; ``line`` the first line concerned."""

    edits: tuple[Edit, ...]
    prior: float
    operator: str
    line: int
    words: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal in its place: what the sandbox is asked to try. ``function`` is "" for code outside of functions."""

    path: str
    function: str
    first_line: int
    fresh: bool  # imported anew: the function's results were used while the project was imported
    proposal: Proposal
    score: float

    @property
    def identity(self) -> str:
        """Equal for equal edits of equal files."""
        told = repr((self.path, [(edit.start, edit.stop, edit.text) for edit in self.proposal.edits]))
        return hashlib.sha256(told.encode()).hexdigest()[:20]

    def as_json(self) -> dict[str, object]:
        """For the program in the sandbox."""
        return {
            "id": self.identity,
            "path": self.path,
            "function": self.function,
            "line": self.first_line,
            "fresh": self.fresh,
            "edits": [[edit.start, edit.stop, edit.text] for edit in self.proposal.edits],
        }
