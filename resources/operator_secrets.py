"""Secrets that the operator keeps on a host for its berths: one file each, read when a command needs it, never kept."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from events.faults import Fault, FaultClass

LIMIT_BYTES = 32_768
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class SecretUnavailable(Fault):
    """A secret that a template names is not kept on this host, or cannot be used as it is."""

    fault_class = FaultClass.CONFIGURATION
    code = "secret.unavailable"

    def __init__(self, name: str, why: str, remedy: str) -> None:
        super().__init__(f"secret {name[:200]}: {why}", remedy=remedy, secret=name[:200])


def read(references: Mapping[str, str]) -> dict[str, str]:
    """The values by environment variable. Raises SecretUnavailable for the first that cannot be had."""
    return {variable: _value(name) for variable, name in references.items()}


def _value(name: str) -> str:
    root = Path(settings.BERTH_SECRETS)
    place = root / name
    if not _NAME.fullmatch(name) or ".." in name:
        raise SecretUnavailable(name, "is no name of a secret", "Name a file beneath MOORAGE_BERTH_SECRETS.")
    remedy = f"Put the value into the file {name} beneath MOORAGE_BERTH_SECRETS, on every host, mode 600."
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretUnavailable(name, f"it cannot be read on {settings.HOST_NAME}: {error.strerror}", remedy) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SecretUnavailable(name, "is no regular file", remedy)
        if status.st_mode & 0o077:
            raise SecretUnavailable(name, "others than its owner may read it", f"chmod 600 the file {name}.")
        content = file.read(LIMIT_BYTES + 1)
    return _text(name, content, remedy)


def _text(name: str, content: bytes, remedy: str) -> str:
    try:
        value = content.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise SecretUnavailable(name, "is no UTF-8 text", remedy) from None
    if len(content) > LIMIT_BYTES or "\0" in value or not value:
        raise SecretUnavailable(name, f"is empty, larger than {LIMIT_BYTES} bytes, or holds a NUL", remedy)
    return value


class Mask:
    """Takes values out of what is shown or kept."""

    LEAST = 4  # characters: what is shorter stands everywhere by chance
    SHOWN = "••••"

    def __init__(self, values: Mapping[str, str]) -> None:
        lines = {line for value in values.values() for line in (value, *value.splitlines())}
        # The longest first: one may hold another.
        self._hidden = sorted({line for line in lines if len(line.strip()) >= self.LEAST}, key=len, reverse=True)

    @property
    def values(self) -> tuple[str, ...]:
        """What is taken out, the longest first."""
        return tuple(self._hidden)

    def __bool__(self) -> bool:
        return bool(self._hidden)

    def text(self, text: str) -> str:
        """The text without the values."""
        for hidden in self._hidden:
            text = text.replace(hidden, self.SHOWN)
        return text

    def data(self, data: bytes) -> bytes:
        """The same of bytes."""
        for hidden in self._hidden:
            data = data.replace(hidden.encode(), self.SHOWN.encode())
        return data

    def holds(self, text: str) -> bool:
        """Whether one of the values stands in the text."""
        return any(hidden in text for hidden in self._hidden)


class Masking:
    """The same for bytes that come in pieces, wherever those are cut: what may go on as a value is held back."""

    def __init__(self, mask: Mask) -> None:
        values = [value.encode() for value in mask.values]
        self._values = re.compile(b"|".join(re.escape(value) for value in values)) if values else None
        self._longest = len(max(values, key=len, default=b""))
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown now: nothing that begins in it goes on behind what is known."""
        if self._values is None:
            return data
        self._held += data
        return self._ready(len(self._held) - self._longest + 1)

    def end(self) -> bytes:
        """The rest: nothing more comes."""
        return self._ready(len(self._held))

    def _ready(self, cut: int) -> bytes:
        """All values that begin before ``cut`` are whole: they are replaced, and the rest is held."""
        ready: list[bytes] = []
        position = 0
        for found in self._values.finditer(self._held) if self._values is not None else ():
            if found.start() >= cut:
                break
            ready += (self._held[position : found.start()], Mask.SHOWN.encode())
            position = found.end()
        end = max(position, cut)
        ready.append(self._held[position:end])
        self._held = self._held[end:]
        return b"".join(ready)
