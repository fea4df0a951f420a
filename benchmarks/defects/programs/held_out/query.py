def query(text):
    """Parse ``a=1&b=2&a=3`` into a dict of lists; a key without a value counts as empty, "+" is a blank."""
    result = {}
    for part in text.lstrip("?").split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        value = value.replace("+", " ")
        if key in result:
            result[key].append(value)
        else:
            result[key] = [value]
    return result
