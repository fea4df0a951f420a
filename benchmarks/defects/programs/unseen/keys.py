def keys(document, prefix=""):
    """The dotted paths to all plain values of a nested dictionary."""
    found = []
    for key, value in document.items():
        if isinstance(value, dict):
            found.extend(keys(value, prefix + key + "."))
        else:
            found.append(prefix + key)
    return found
