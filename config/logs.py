"""Log lines as key=value, with whatever subject was bound by ``extra=``."""

from __future__ import annotations

import copy
import logging
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message", "data"}


class KeyValue(logging.Formatter):
    """``12:00:00 INFO operations.coding.engine stage finished operation=… stage=test``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        told = copy.copy(record)  # other handlers show the message in their own way
        told.message = "".join(char if char.isprintable() else repr(char)[1:-1] for char in record.message)
        line = super().formatMessage(told)
        extras = " ".join(f"{key}={_value(value)}" for key, value in vars(record).items() if key not in _STANDARD)
        return f"{line} {extras}" if extras else line

    def formatException(self, ei: Any) -> str:
        """Indented: no line of a traceback is taken for a line of the log."""
        return "\n".join(f"  {line}" for line in super().formatException(ei).splitlines())


def _value(value: object) -> str:
    """As it is where it is one printable word: anything else could end the line and begin another."""
    text = str(value)[:300]
    return text if text.isprintable() and " " not in text else repr(text)
