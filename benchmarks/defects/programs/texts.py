def wrapped(text, columns):
    """Lines of at most so many columns, broken at blanks where there are any."""
    lines = []
    while len(text) > columns:
        end = text.rfind(" ", 0, columns + 1)
        if end == -1:
            end = columns
        lines.append(text[:end])
        text = text[end:].lstrip()
    lines.append(text)
    return lines


def runs(text):
    """Run-length code: (character, count) pairs."""
    found = []
    for character in text:
        if found and found[-1][0] == character:
            found[-1] = (character, found[-1][1] + 1)
        else:
            found.append((character, 1))
    return found


def shifted(text, key):
    """Letters moved along the alphabet by the key; the rest stays."""
    moved = ""
    for character in text:
        if character.isalpha():
            base = ord("a") if character.islower() else ord("A")
            character = chr((ord(character) - base + key) % 26 + base)
        moved += character
    return moved


def is_palindrome(text):
    """Whether it reads the same from behind, letters only."""
    letters = [character.lower() for character in text if character.isalnum()]
    return letters == letters[::-1]


def most_common(words):
    """The word that comes most often; of equal ones the first in the alphabet."""
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    best = None
    for word in sorted(counts):
        if best is None or counts[word] > counts[best]:
            best = word
    return best


def balanced(text):
    """Whether brackets of three kinds close in the order they were opened."""
    closes = {")": "(", "]": "[", "}": "{"}
    open_ones = []
    for character in text:
        if character in "([{":
            open_ones.append(character)
        elif character in closes:
            if not open_ones or open_ones.pop() != closes[character]:
                return False
    return not open_ones
