"""Faults: typed errors that say whose turn it is.

Every room raises subclasses of :class:`Fault`; interfaces render them as problem documents, the stage engine
decides on them by table. A fault never carries a secret: ``detail`` and ``facts`` end up on screens and in logs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class FaultClass(StrEnum):
    """Whose turn it is: ours again soon, the host's, the operator's, or nobody's until the input changes."""

    TRANSIENT = "transient"
    RESOURCE = "resource"
    CONFIGURATION = "configuration"
    PERMANENT = "permanent"


class Fault(Exception):
    """An expected failure: ``code`` for machines, ``detail`` for people, ``remedy`` as the way on.

    ``http_status`` is what an interface answers when the fault reaches it; ``pointer`` names the request field
    (RFC 6901) that caused it, where one did.
    """

    fault_class: ClassVar[FaultClass] = FaultClass.PERMANENT
    code: ClassVar[str] = "fault"
    remedy: ClassVar[str] = ""
    http_status: ClassVar[int] = 422

    def __init__(self, detail: str, *, remedy: str | None = None, pointer: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy_text = remedy if remedy is not None else self.remedy
        self.pointer = pointer
        self.facts = facts

    def as_dict(self) -> dict[str, Any]:
        """The JSON form stored on rows and shown by the API: code, class, detail, remedy, facts."""
        document: dict[str, Any] = {
            "code": self.code,
            "class": self.fault_class.value,
            "detail": self.detail,
            "remedy": self.remedy_text,
        }
        if self.facts:
            document["facts"] = self.facts
        return document


class Remembered(Fault):
    """A fault read back from a row: the code and class it was stored with, whoever raised it."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(
            str(document.get("detail", "")), remedy=str(document.get("remedy", "")), **document.get("facts", {})
        )
        self.code = str(document.get("code", Fault.code))  # type: ignore[misc] # this one is per instance
        self.fault_class = FaultClass(document.get("class", FaultClass.PERMANENT))  # type: ignore[misc]
