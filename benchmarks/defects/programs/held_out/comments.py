CODE, SLASH, LINE, BLOCK, STAR, TEXT = range(6)


def comments(source):
    """The source without // and /* */ comments; texts in quotes stay as they are."""
    state = CODE
    out = []
    for ch in source:
        if state == CODE:
            if ch == "/":
                state = SLASH
            else:
                if ch == '"':
                    state = TEXT
                out.append(ch)
        elif state == SLASH:
            if ch == "/":
                state = LINE
            elif ch == "*":
                state = BLOCK
            else:
                out.append("/" + ch)
                state = CODE
        elif state == LINE:
            if ch == "\n":
                out.append(ch)
                state = CODE
        elif state == BLOCK:
            if ch == "*":
                state = STAR
        elif state == STAR:
            if ch == "/":
                state = CODE
            elif ch != "*":
                state = BLOCK
        elif state == TEXT:
            out.append(ch)
            if ch == '"':
                state = CODE
    return "".join(out)
