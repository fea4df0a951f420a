"""Logs of failed checks: cut to the failing step, capped, and without what looks like a secret. Pure."""

from __future__ import annotations

import re

from operations.coding.git_faults import redact

LOG_CHARACTERS = 8_000  # of one check, as the engine is told
LOG_BYTES = 4_000_000  # read of one log, of its end

_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT[\d:.]+Z ", re.M)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_MARGIN = 8  # times the limit is looked through for secrets: what is before that is never shown
# Names that build servers give to secrets, and the shapes of the commonest keys; the forge masks its own. Bounded
# repeats only: a hostile log must not cost more than its length.
_SECRETS = (
    re.compile(
        r"(?i)\b([a-z0-9_.-]{0,40}(?:token|secret|passw(?:or)?d|api[_-]?key|private[_-]?key))(\s*[:=]\s*)(?!\*\*\*)\S+"
    ),
    re.compile(r"()()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"()()\beyJ[A-Za-z0-9_-]{10,900}\.[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{5,}"),
    re.compile(r"()()-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.S),
)


def failing_step(log: str, *, limit: int = LOG_CHARACTERS) -> str:
    """The step of a GitHub Actions log that failed: from its heading to its last error; else the log's end.

    At most ``limit`` characters: the beginning of a long step goes, its end stays.
    """
    lines = _COLOUR.sub("", _STAMP.sub("", log.replace("\r\n", "\n"))).split("\n")
    errors = [number for number, line in enumerate(lines) if line.startswith("##[error]")]
    if errors:
        # The first error ends the step that failed; what follows it cleans up.
        end = errors[0]
        heads = [number for number in range(end) if lines[number].startswith("##[group]Run ")]
        lines = lines[(heads[-1] if heads else 0) : end + 1]
    kept = [line for line in lines if not line.startswith("##[endgroup]")]
    return masked("\n".join(kept), limit=limit)


def masked(text: str, *, limit: int = LOG_CHARACTERS) -> str:
    """The end of the text, without credentials and control characters."""
    text = text[-_MARGIN * limit :]
    for pattern in _SECRETS:
        text = pattern.sub(r"\1\2…", text)
    return redact(text, limit=limit)
