"""The gate on secrets in added lines."""

from __future__ import annotations

import ast
import base64
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from operations.coding.gates.subject import Subject, is_test, matches
from operations.coding.gates.verdicts import GateResult, verdict

# Shapes that are secrets wherever they stand; a random-looking string alone is not one.
_SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{40,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b|\b[sr]k_live_[0-9A-Za-z]{20,}|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgEI[A-Za-z0-9_-]{50,}"
    r"|\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b|\bhf_[A-Za-z]{34}\b|\bdop_v1_[0-9a-f]{64}\b"
    r"|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}|\bAccountKey=[A-Za-z0-9+/]{80,}={0,2}|\bPuTTY-User-Key-File-\d:|\bmrt_[\w-]{40,}\b"
    r"|https://hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,}"
)
# A name that speaks of a secret, and a quoted literal behind it.
_NAMED = re.compile(
    r"(?i)(?:passw(?:or)?d|passwd|secret|token|api_?key|access_?key|private_?key|credential|auth)[a-z0-9_]*"
    r"[\"']?\s*(?::\s*str\s*)?(?:=|:|=>)\s*[\"']([A-Za-z0-9+/=_.!@#$%^&*-]{16,})[\"']"
)
# The same without quotes, as settings are written, and a password within an address.
_BARE = re.compile(
    r"(?i)^\s*(?:export\s+)?[\w.-]*(?:passw(?:or)?d|secret|token|api_?key|access_?key|private_?key)[\w.-]*"
    r"\s*[:=]\s*([A-Za-z0-9+/=_.!@#%^&*-]{16,})\s*$"
)
_SETTINGS = (".env", "*.env", ".env.*", "*.yml", "*.yaml", "*.ini", "*.cfg", "*.conf", "*.properties", "*.sh", "*.toml")
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+]*://[^\s:@/\"']+:([^\s:@/\"']{12,})@")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_NOT_ONE = re.compile(
    r"(?i)example|dummy|change|your|placeholder|xxxx|test|fake|sample|\.\.\.|1234|abcd|[a-z]+([-_.][a-z]+)+$"
)
_MARKED = re.compile(r"moorage: allow-secret|pragma: allowlist secret|gitleaks:allow|nosec")
_LEAST_OF_A_KEY = 40  # characters between the frames of a private key
_LEAST_JUMPS = (
    11  # from one character to another that is neither the same nor the next one: sixteen random ones have 15
)
_LEAST_BITS = 3.5  # per character; English words have less, keys of 16 random characters more


def secrets(subject: Subject) -> GateResult:
    """No key of a known shape, whole, in pieces or encoded; nothing random under a name that speaks of a secret.

    In tests, a key of nothing but the alphabet is none. A line may say that it holds none ("moorage: allow-secret"):
    that stills the guess, never a known shape.
    """
    found, marked = [], 0
    for line in subject.added:
        shown = (line.text, *_decoded(line.text))
        if any(_holds_key(text, in_test=is_test(line.path)) for text in shown):
            # The line itself is never repeated: the reason must not hold what it warns of.
            found.append(f"{line.path} line {line.number} looks like a secret")
        elif not is_test(line.path) and _looks_random(line.path, line.text):
            if _MARKED.search(line.text):
                marked += 1
            else:
                found.append(f"{line.path} line {line.number} gives a secret a random value")
    found += [f"{path} line {number} looks like a secret" for path, number in _in_pieces(subject)]
    fine = "no secret in added lines" + (f"; {marked} marked as none" if marked else "")
    return verdict("secrets", found, fine)


def _holds_key(text: str, *, in_test: bool) -> bool:
    """Whether something of a known shape is in it; of tests of such shapes only what may be one."""
    return any(not (in_test and _is_filler(found[0], text[found.end() :])) for found in _SECRETS.finditer(text))


def _is_filler(found: str, behind: str) -> bool:
    """The alphabet, one character again and again, or a frame around next to nothing."""
    if found.startswith("-----BEGIN"):
        body, end, _ = behind.partition("-----END")
        return bool(end) and len(body) < _LEAST_OF_A_KEY
    jumps = sum(ord(b) - ord(a) not in (0, 1) for a, b in pairwise(found))
    return jumps < _LEAST_JUMPS


def _decoded(text: str) -> Iterator[str]:
    """What stands behind long words of base64 or hexadecimal digits."""
    for word in _ENCODED.findall(text)[:20]:
        for decode in (bytes.fromhex, _base64):
            try:
                yield decode(word).decode("ascii")
            except ValueError:
                continue


def _base64(word: str) -> bytes:
    bare = word.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _in_pieces(subject: Subject) -> Iterator[tuple[str, int]]:
    """Strings of Python files that only together have the shape of a key: a sum, a join, escapes, or backwards."""
    for path, (_, after) in subject.python.items():
        names = subject.names[path][1]
        if after is None or names is None or is_test(path):  # tests put such keys together for scanners of secrets
            continue
        for node in ast.walk(after):
            if isinstance(node, ast.Constant | ast.BinOp | ast.JoinedStr | ast.Call) and _was_added(
                subject, path, node
            ):
                text = names.text(node) or ""
                if _SECRETS.search(text) or _SECRETS.search(text[::-1]):
                    yield path, node.lineno


def _was_added(subject: Subject, path: str, node: ast.expr) -> bool:
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return any((path, number) in subject.added_numbers for number in lines)


def _looks_random(path: str, text: str) -> bool:
    bare = _BARE.findall(text) if matches(path.rsplit("/", 1)[-1], _SETTINGS) else []
    return any(
        bits(value) >= _LEAST_BITS
        and any(c.isdigit() for c in value)
        and any(c.isalpha() for c in value)
        and not _NOT_ONE.search(value)
        for value in (*_NAMED.findall(text), *_IN_ADDRESS.findall(text), *bare)
    )


def bits(value: str) -> float:
    """Shannon's entropy of its characters, in bits for each."""
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)
