def brackets(pairs, built="", opened=0):
    """All ways to write so many pairs of brackets, in order."""
    if len(built) == 2 * pairs:
        yield built
        return
    if opened < pairs:
        yield from brackets(pairs, built + "(", opened + 1)
    if len(built) - opened < opened:
        yield from brackets(pairs, built + ")", opened)
