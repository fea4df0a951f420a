def decodings(code):
    """In how many ways digits can be read as letters, A = 1 … Z = 26."""
    if not code:
        return 0
    before, now = 0, 1
    for i, digit in enumerate(code):
        ways = 0
        if digit != "0":
            ways += now
        if i > 0 and 10 <= int(code[i - 1:i + 1]) <= 26:
            ways += before
        before, now = now, ways
    return now
