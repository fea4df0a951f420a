"""Prints the transcript of a berth, and what is added to it, for as long as its parent lives.

    python3 -I -S -B following.py DIRECTORY PARENT

Standard library only. The transcript's segments have numbers for names; the lowest are removed as higher ones come.
"""

import os
import sys
import time

PAUSE_S = 0.1
CHUNK = 1 << 16
OUTPUT = 1
WELCOME = b"What the commands of this berth's work print is shown here as it happens.\n\n"
MISSED = "… what was before this is not kept …\n\n".encode()


def numbers(directory):
    """The segments that are there, lowest first; none before the first command."""
    try:
        return sorted(int(name) for name in os.listdir(directory) if name.isdecimal())
    except FileNotFoundError:
        return []


def say(data):
    """All of it, however little the terminal takes at once."""
    while data:
        data = data[os.write(OUTPUT, data) :]


def copy(segment):
    """All that there is now."""
    while data := os.read(segment, CHUNK):
        say(data)


def next_of(directory, current):
    """(its number, an open descriptor) of the segment after ``current``, or None while there is none."""
    for number in numbers(directory):
        if number > current:
            try:
                return number, os.open(os.path.join(directory, str(number)), os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:  # removed in between: then there is a higher one
                continue
    return None


def follow(directory, parent):
    """Until nobody is there to read it any more."""
    current, segment = -1, None
    say(WELCOME)
    while os.getppid() == parent:
        if segment is not None:
            copy(segment)
        found = next_of(directory, current)
        if found is None:
            time.sleep(PAUSE_S)
            continue
        if segment is not None:
            copy(segment)  # what was added before the next one was begun
            os.close(segment)
        if found[0] > current + 1:
            say(MISSED)
        current, segment = found


if __name__ == "__main__":
    try:
        follow(sys.argv[1], int(sys.argv[2]))
    except OSError:  # the terminal is gone
        sys.exit(1)
