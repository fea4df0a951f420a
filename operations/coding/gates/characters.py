"""The gate on characters that nobody sees, or that pass for others, in added lines and in names of files."""

from __future__ import annotations

import re
from collections import Counter

from agents import unseen
from operations.coding.gates.subject import Subject, is_test, matches
from operations.coding.gates.verdicts import GateResult, verdict

# Zero-width, bidirectional and tag characters (Unicode 15: default-ignorable ones that change what a line means).
# Controls too: terminals and editors act on them, and some end a line for Python where none is seen.
_INVISIBLE = re.compile(f"(?!\ufe0f)[{unseen.IGNORED}]|\ufe0f{{2,}}|[\x08\x0b\x0c\x1b\x7f\x85\x90\x9b-\x9d]|\r(?!$)")
_PICTURE = "[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]"
_JOINED_PICTURES = re.compile(f"(?<={_PICTURE})\u200d(?={_PICTURE})")
# Letters that look like Latin ones. Within one word of a program they are there to deceive.
_LOOK_ALIKE = re.compile(
    "[\u0391\u0392\u0395-\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u0400-\u052f]"
)
_WORD = re.compile(r"\w+")
_PROGRAMS = (
    "*.py", "*.pyi", "*.js", "*.mjs", "*.ts", "*.tsx", "*.jsx", "*.go", "*.rs", "*.java", "*.kt", "*.rb", "*.c",
    "*.cc", "*.cpp", "*.h", "*.cs", "*.php", "*.sh", "*.sql", "*.tf",
)  # fmt: skip


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
                             f"(U+{ord(char[0]):04X})")  # fmt: skip
        if matches(line.path, _PROGRAMS) and not is_test(line.path) and (word := _deceives(line.text)):
            found.append(f"{line.path} line {line.number} mixes alphabets in one word: {ascii(word)[:80]}")
    for path in subject.diff.names("A"):
        if _unseen(path) or _deceives(path):
            found.append(f"the name {ascii(path)[:200]} holds characters that nobody sees, or that pass for others")
    return verdict("invisible characters", found, "none in added lines")


def _unseen(text: str) -> list[str]:
    return _INVISIBLE.findall(_JOINED_PICTURES.sub("", text))


def _deceives(text: str) -> str:
    """The first word of both Latin letters and others that look like some."""
    if text.isascii():
        return ""
    words = (word for word in _WORD.findall(text) if _LOOK_ALIKE.search(word))
    return next((word for word in words if any(letter.isascii() and letter.isalpha() for letter in word)), "")
