from itertools import islice


def chunked(items, size):
    """Lists of so many items, the last may be shorter."""
    iterator = iter(items)
    while True:
        chunk = list(islice(iterator, size))
        if not chunk:
            return
        yield chunk


def windows(items, width):
    """Tuples of width neighbours, one for each place."""
    window = []
    for item in items:
        window.append(item)
        if len(window) == width:
            yield tuple(window)
            window.pop(0)
