"""Gates on the text of added lines: secrets, and characters that nobody sees."""

from __future__ import annotations

import math
import re
from collections import Counter

from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict

# Zero-width, bidirectional and tag characters (Unicode 15: default-ignorable ones that change what a line means).
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_PICTURE = "[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]"
_JOINED_PICTURES = re.compile(f"(?<={_PICTURE})\u200d(?={_PICTURE})")

# Shapes that are secrets wherever they stand; a random-looking string alone is not one.
_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b|\b[sr]k_live_[0-9A-Za-z]{20,}|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgEI[A-Za-z0-9_-]{50,}"
    r"|\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b|\bhf_[A-Za-z]{34}\b|\bdop_v1_[0-9a-f]{64}\b"
    r"|https://hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}"
)
# A name that speaks of a secret, and a quoted literal behind it.
_NAMED = re.compile(
    r"(?i)(?:passw(?:or)?d|passwd|secret|token|api_?key|access_?key|private_?key|credential|auth)[a-z0-9_]*"
    r"[\"']?\s*(?::\s*str\s*)?(?:=|:|=>)\s*[\"']([A-Za-z0-9+/=_.!@#$%^&*-]{16,})[\"']"
)
_NOT_ONE = re.compile(
    r"(?i)example|dummy|change|your|placeholder|xxxx|test|fake|sample|\.\.\.|1234|abcd|[a-z]+([-_.][a-z]+)+$"
)
_MARKED = re.compile(r"moorage: allow-secret|pragma: allowlist secret|gitleaks:allow|nosec")
_LEAST_BITS = 3.5  # per character; English words have less, keys of 16 random characters more


def secrets(subject: Subject) -> GateResult:
    """No key of a known shape, and nothing random under a name that speaks of a secret.

    A line may say that it holds none ("moorage: allow-secret"): that stills the guess, never a known shape.
    """
    found, marked = [], 0
    for line in subject.added:
        if _SECRETS.search(line.text):
            # The line itself is never repeated: the reason must not hold what it warns of.
            found.append(f"{line.path} line {line.number} looks like a secret")
        elif not is_test(line.path) and _looks_random(line.text):
            if _MARKED.search(line.text):
                marked += 1
            else:
                found.append(f"{line.path} line {line.number} gives a secret a random value")
    fine = "no secret in added lines" + (f"; {marked} marked as none" if marked else "")
    return verdict("secrets", found, fine)


def _looks_random(text: str) -> bool:
    return any(
        bits(value) >= _LEAST_BITS
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        and not _NOT_ONE.search(value)
        for value in _NAMED.findall(text)
    )


def bits(value: str) -> float:
    """Shannon's entropy of its characters, in bits for each."""
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def invisible(subject: Subject) -> GateResult:
    """No invisible or bidirectional character more in a file than the lines had that went."""
    had = Counter((line.path, char) for line in subject.removed for char in _unseen(line.text))
    found = []
    for line in subject.added:
        for char in _unseen(line.text):
            if had[line.path, char] > 0:
                had[line.path, char] -= 1
            else:
                found.append(f"{line.path} line {line.number} has an invisible or bidirectional character "
                             f"(U+{ord(char):04X})")  # fmt: skip
    return verdict("invisible characters", found, "none in added lines")


def _unseen(text: str) -> list[str]:
    return _INVISIBLE.findall(_JOINED_PICTURES.sub("", text))
