UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse(text):
    seconds, number = 0, ""
    for ch in text:
        if ch.isdigit():
            number += ch
        elif ch in UNITS:
            seconds += int(number) * UNITS[ch]
            number = ""
        elif not ch.isspace():
            raise ValueError(ch)
    return seconds


def show(seconds):
    if seconds == 0:
        return "0s"
    parts = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts)


def duration(texts):
    """The sum of durations such as "1h 30m", written the same way."""
    return show(sum(parse(text) for text in texts))
