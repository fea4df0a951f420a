"""Takes secrets out of a stream of text, however it is cut into pieces. Pure.

Only the shapes of secrets are known here: tokens of well-known makers, values behind names that mean a secret,
passwords in URLs, private keys. A secret with an escape sequence in its midst is not recognised.
"""

from __future__ import annotations

import re

MASK = "•••"
_MOST_HELD = 4096
_MOST_KEY = 16_384
_NAMES = r"(?:pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_SECRETS = re.compile(
    r"(?P<token>\b(?:sk-|gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|hf_|npm_|pypi-|AIza|moor_)[A-Za-z0-9_\-]{12,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?)"
    rf"|(?P<name>(?i:{_NAMES})[\"']?[ \t]*[=:][ \t]*[\"']?)(?P<value>[^\s\"'\x1b]+)"
    r"|(?P<scheme>\b(?i:bearer|basic)[ \t]+)(?P<bearer>[A-Za-z0-9_\-.~+/=]{8,})"
    r"|(?P<user>://[^\s/:@\x1b]*:)(?P<password>[^\s/@\x1b]+)(?=@)"
)
_RUN_BACKWARDS = re.compile(r"[^\s\x1b\"']*")  # what a secret may still go on from, read from its end
# Case folded: without one of these a text has no secret, and looking for them is thirty times faster than _SECRETS.
# Words take half a millisecond per MB each; what a rare character stands at the end of takes less for all of them.
_WORDS = ("pass", "secret", "token", "key", "credential", "bearer", "basic", "aiza", "akia", "asia", "eyj")
_SIGNS = (
    re.compile(r"_(?:(?<=gh[opsur]_)|(?<=github_pat_)|(?<=hf_)|(?<=npm_)|(?<=moor_))"),
    re.compile(r"-(?:(?<=sk-)|(?<=glpat-)|(?<=xox[abeprs]-)|(?<=pypi-))"),
    re.compile(r":(?=//)"),
)
_EXPECTS = re.compile(
    rf"(?:(?i:{_NAMES})[\"']?[ \t]*(?:[=:][ \t]*[\"']?)?|\b(?i:bearer|basic)[ \t]*)[^\s\"'\x1b]*\Z"
)  # fmt: skip
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_KEY_BEGINNING = re.compile(r"-----BEGIN [A-Z ]*-*\Z")


class Masker:
    """Text in, text without secrets out. What might be the beginning of a secret is held until more is known."""

    def __init__(self, held: str = "") -> None:
        self.held = held
        self._swallowing = False  # amid a secret that is longer than what is held

    def feed(self, text: str) -> str:
        """The text that is known to be harmless now."""
        self.held += text
        if self._swallowing:
            rest = re.sub(r"\A[^\s\x1b\"']+", "", self.held)
            self._swallowing, self.held = not rest, rest
        if key := _KEY.search(self.held):
            return self._amid_key(key)
        cut = self._cut()
        ready, self.held = masked(self.held[:cut]), self.held[cut:]
        if len(self.held) <= _MOST_HELD:
            return ready
        long, self.held = masked(self.held), ""
        self._swallowing = long.endswith(MASK)
        return ready + long

    def flush(self) -> str:
        """The rest: nothing more comes."""
        rest, self.held = masked(self.held), ""
        return MASK if _KEY.search(rest) else rest

    def _cut(self) -> int:
        """Where what may become a secret begins."""
        window = max(0, len(self.held) - 2 * _MOST_HELD)
        run = _RUN_BACKWARDS.match(self.held[window:][::-1])
        cut = len(self.held) - (run.end() if run else 0)
        for held_back in (_EXPECTS.search(self.held, max(window, cut - 64)), _KEY_BEGINNING.search(self.held, window)):
            if held_back:
                cut = min(cut, held_back.start())
        return cut

    def _amid_key(self, begins: re.Match[str]) -> str:
        ends = _KEY_ENDS.search(self.held, begins.end())
        if ends is None and len(self.held) - begins.start() <= _MOST_KEY:
            return ""
        before, rest = masked(self.held[: begins.start()]), self.held[ends.end() if ends else len(self.held) :]
        self.held = ""
        return before + MASK + self.feed(rest)


def masked(text: str) -> str:
    """A whole text without its secrets."""
    folded = text.casefold()  # as regular expressions ignore case
    if not (any(word in folded for word in _WORDS) or any(sign.search(folded) for sign in _SIGNS)):
        return text
    return _SECRETS.sub(_without, text)


def _without(found: re.Match[str]) -> str:
    kept = found["name"] or found["scheme"] or found["user"] or ""
    return kept + MASK
