"""A path of an edit is relative, beneath the checkout and never git's own.

The workbench opens beneath the checkout as well; this door refuses earlier, with words a person or a model
can use.
"""

from __future__ import annotations

import unicodedata

from agents.engines.protocol import EditRefused

MAX_PATH_CHARS = 1024


def jail(path: str) -> str:
    """The path in its one normal form, or :class:`EditRefused`: no absolute path, no ``..``, nothing of
    ``.git``.
    """
    if not path or len(path) > MAX_PATH_CHARS:
        raise EditRefused(f"A path has 1 to {MAX_PATH_CHARS} characters.", path=path[:80])
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in path):
        # Format characters are invisible, and some file systems drop them: ".g\u200cit" would become ".git".
        raise EditRefused("A path holds no control or invisible characters.", path=ascii(path[:80]))
    if path.startswith(("/", "~")) or "\\" in path or path[1:2] == ":":
        raise EditRefused(f"{path!r} is not a relative POSIX path.", path=path)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.endswith("/") or ".." in parts:
        raise EditRefused(f"{path!r} does not name a file beneath the checkout.", path=path)
    if any(_is_git(part) for part in parts):
        raise EditRefused(f"{path!r} belongs to git.", path=path)
    return "/".join(parts)


def _is_git(part: str) -> bool:
    """Whether some file system takes this name for ``.git`` (case, trailing dots and blanks, the 8.3 short
    name).
    """
    folded = part.casefold().split(":", 1)[0].rstrip(". ")
    return folded in (".git", "git~1")
