def unpack(text):
    """Expand ``2[ab3[c]]d`` to ``abcccabcccd``."""
    stack = []
    current = ""
    number = 0
    for ch in text:
        if ch.isdigit():
            number = number * 10 + int(ch)
        elif ch == "[":
            stack.append((current, number))
            current = ""
            number = 0
        elif ch == "]":
            before, times = stack.pop()
            current = before + current * times
        else:
            current += ch
    return current
