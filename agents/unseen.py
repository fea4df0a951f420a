"""Characters that a person does not see, or sees as something else: for texts to a model, and for gates on a change."""

from __future__ import annotations

import re
import unicodedata

# Those that Unicode wants shown as nothing (Default_Ignorable_Code_Point 15.1, assigned or not), blanks that pass for
# letters, and separators of lines that editors do not show.
IGNORED = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_IGNORED = re.compile(f"[{IGNORED}]")
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Co"})
_PICTURES = re.compile("(?<=[\u203c-\u3299\U0001f000-\U0001faff])\ufe0f(?![\ufe00-\ufe0f])")


def unseen(character: str) -> bool:
    """Whether it is one of them; blanks, tabs and ends of lines are not."""
    if character in "\n\t" or " " <= character <= "~":
        return False
    return unicodedata.category(character) in _CONTROLS or bool(_IGNORED.match(character))


def without(text: str) -> str:
    """The text without them, and without the sign that makes a picture of a symbol."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character for character in _PICTURES.sub("", text) if not unseen(character))


def count(text: str) -> int:
    """How many there are that say something: carriage returns and the signs of pictures do not."""
    return sum(unseen(character) for character in _PICTURES.sub("", text).replace("\r", ""))
