def vigenere(text, key, decode=False):
    """Encrypt letters with a repeated key; other characters stay and use up no letter of the key."""
    result = []
    position = 0
    for ch in text:
        if not ch.isalpha():
            result.append(ch)
            continue
        shift = ord(key[position % len(key)].lower()) - ord("a")
        if decode:
            shift = -shift
        base = ord("A") if ch.isupper() else ord("a")
        result.append(chr((ord(ch) - base + shift) % 26 + base))
        position += 1
    return "".join(result)
