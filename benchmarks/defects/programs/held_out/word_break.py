def word_break(text, words):
    """All ways to write text as words with blanks between, sorted."""
    known = {len(text): [[]]}

    def rest(start):
        if start in known:
            return known[start]
        ways = []
        for word in words:
            if text.startswith(word, start):
                for tail in rest(start + len(word)):
                    ways.append([word] + tail)
        known[start] = ways
        return ways

    return sorted(" ".join(way) for way in rest(0))
