"""What a template lets the engine do by itself: change files, which of them, and run commands."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from events.faults import Fault, FaultClass

_DENY = "deny"


class NotPermitted(Fault):
    """The template does not let the engine do this."""

    fault_class = FaultClass.PERMANENT
    code = "engine.not_permitted"
    remedy = "Choose a template whose `engine.permissions` allow it."


@dataclass(frozen=True, slots=True)
class Permissions:
    """``paths`` are globs relative to the repository; none for everywhere."""

    edit: bool = True
    run: bool = True
    paths: tuple[str, ...] = ()

    def may_change(self, path: str) -> bool:
        """Whether a file may be written or deleted."""
        return self.edit and (not self.paths or any(fnmatch.fnmatch(path, pattern) for pattern in self.paths))

    def check_change(self, path: str) -> None:
        """Raises NotPermitted."""
        if not self.edit:
            raise NotPermitted(f"{path[:200]}: the template lets the engine change no files")
        if not self.may_change(path):
            raise NotPermitted(f"{path[:200]} lies outside of where the engine may change files: {self._where()}")

    def check_run(self, program: str) -> None:
        """Raises NotPermitted."""
        if not self.run:
            raise NotPermitted(f"{program[:80]}: the template lets the engine run no commands")

    def _where(self) -> str:
        return ", ".join(self.paths[:10]) + (" and more" if len(self.paths) > 10 else "")


def read(spec: Mapping[str, Any]) -> Permissions:
    """Those of a resolved template."""
    said = spec["engine"].get("permissions", {})
    return Permissions(edit=said.get("edit") != _DENY, run=said.get("run") != _DENY, paths=tuple(said.get("paths", ())))
