"""A log line is one line: nothing that comes from outside begins another, or a field of its own."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from config.logs import KeyValue


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(KeyValue())
    log = logging.getLogger("moorage.test.logs")
    log.propagate = False
    log.addHandler(handler)
    yield log, stream
    log.removeHandler(handler)


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2K"])
def test_a_value_or_a_message_with_a_line_end_and_no_blank_stays_on_its_line(
    written: tuple[logging.Logger, io.StringIO], end: str
) -> None:
    log, stream = written
    log.warning("a file was %s", f"bad{end}12:00:00", extra={"why": f"x{end}12:00:00\tERROR\tforged", "name_of": "ok"})
    (line,) = stream.getvalue().splitlines()
    assert end not in line
    assert line.endswith(" name_of=ok")


def test_a_traceback_is_indented_so_that_no_line_of_it_begins_like_a_record(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    log, stream = written
    try:
        raise ValueError("x\n12:00:00 ERROR forged")
    except ValueError:
        log.exception("it broke", extra={"subject": "two words"})
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("it broke subject='two words'")
    assert any("forged" in line for line in rest)
    assert all(line.startswith("  ") for line in rest)
