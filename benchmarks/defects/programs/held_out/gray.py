def gray(bits):
    """The Gray code of so many bits, as a list of texts."""
    if bits == 0:
        return [""]
    shorter = gray(bits - 1)
    return ["0" + code for code in shorter] + ["1" + code for code in reversed(shorter)]
