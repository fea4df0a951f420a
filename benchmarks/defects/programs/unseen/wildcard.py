def wildcard(pattern, text):
    """Whether the whole text fits a pattern of letters, ? and *."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return wildcard(pattern[1:], text) or (bool(text) and wildcard(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and wildcard(pattern[1:], text[1:])
