"""Log lines as key=value, with whatever subject was bound by ``extra=``."""

from __future__ import annotations

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message", "data"}


class KeyValue(logging.Formatter):
    """``12:00:00 INFO operations.coding.engine stage finished operation=… stage=test``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        extras = " ".join(
            f"{key}={str(value)[:300]!r}" if " " in str(value) else f"{key}={str(value)[:300]}"
            for key, value in vars(record).items()
            if key not in _STANDARD
        )
        return f"{line} {extras}" if extras else line
