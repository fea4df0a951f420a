"""What our branches and commits are called."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from uuid import UUID

OURS = "moorage/"  # what every branch of ours begins with
_BRANCH_LIMIT = 80
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def branch_name(requirement: str, operation_id: UUID | str) -> str:
    """``moorage/<slug>-<8 hex>``: readable, valid for git, at most 80 characters, the same each time."""
    unique = UUID(str(operation_id)).hex[:8]
    room = _BRANCH_LIMIT - len(OURS) - len(unique) - 1
    plain = unicodedata.normalize("NFKD", first_line(requirement)).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: min(room, 48)].rstrip("-")
    return f"{OURS}{slug or 'change'}-{unique}"


def is_branch_name(name: str) -> bool:
    """Whether git lets a branch have this name (the rules of ``git check-ref-format --branch``)."""
    if not name or name == "@" or name == "HEAD" or name.startswith(("-", "/")) or name.endswith(("/", ".")):
        return False
    if _FORBIDDEN.search(name) or len(name.encode("utf-8", "surrogatepass")) > 240:
        return False
    return not any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))


def commit_message(requirements: str, engine_label: str, operation_id: UUID | str) -> str:
    """Subject of at most 72 characters, the requirement, and trailers that say who wrote it and why."""
    subject = textwrap.shorten(first_line(requirements), width=72, placeholder="…") or "Change"
    text = _printable(requirements).strip()
    body = text[:4000] + ("…" if len(text) > 4000 else "")
    # A requirement that ends like a trailer must not be read as one of ours.
    label = " ".join(_printable(engine_label).split())[:120] or "unknown"
    trailers = f"Moorage-Operation: {UUID(str(operation_id))}\nMoorage-Engine: {label}"
    indented = "\n".join(f"    {line.rstrip()}".rstrip() for line in body.splitlines())
    middle = f"\n\nRequirement:\n\n{indented}" if body and body != subject else ""
    return f"{subject}{middle}\n\n{trailers}\n"


def first_line(text: str) -> str:
    """The first line that says something, without heading marks."""
    for line in _printable(text).splitlines():
        if plain := line.strip(" #\t`*->"):
            return plain
    return ""


def _printable(text: str) -> str:
    kept = (c if c in "\n\t" or (c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF) else " " for c in text)
    return "".join(kept)
