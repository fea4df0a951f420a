def thousands(number, sign=",", places=2):
    """1234567.891 as 1,234,567.89"""
    negative = number < 0
    whole, dot, fraction = f"{abs(number):.{places}f}".partition(".")
    groups = []
    while len(whole) > 3:
        groups.insert(0, whole[-3:])
        whole = whole[:-3]
    groups.insert(0, whole)
    return ("-" if negative else "") + sign.join(groups) + dot + fraction
