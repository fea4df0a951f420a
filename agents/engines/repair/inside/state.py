"""What one candidate could leave behind for the next in the same process."""

from __future__ import annotations

import pickle
import resource
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MOST_BYTES = 200_000
_CODE = (
    types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.MemberDescriptorType, type,
    staticmethod, classmethod, property,
)  # fmt: skip
_OTHERS = {"_pytest", "pytest", "typing", "re", "__future__", "abc", "_abc"}  # whose objects no candidate changes


class Unknown(Exception):
    """The project holds something whose change cannot be seen."""


def fingerprint(functions: Iterable[types.FunctionType], where: Callable[[str], str]) -> bytes:
    """The project's modules, classes and functions, as bytes. Raises Unknown.

    Equal before and after a candidate: it changed nothing of what the next one sees.
    """
    parts: list[Any] = []
    for function in functions:
        parts += [function.__defaults__, function.__kwdefaults__, _data(function.__dict__), _cells(function)]
    for name, module in list(sys.modules.items()):
        if where(getattr(module, "__file__", None) or ""):
            parts += [name, _data(vars(module))]
            parts += [_data(vars(one)) for one in vars(module).values() if isinstance(one, type) and _own(one, name)]
    return _told(parts)


class Parameters:
    """What tests are parametrised with: candidates sort it and pop from it. Raises Unknown."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._given = [item.callspec.params for item in items if hasattr(item, "callspec")]
        self._kept = _told(self._given)

    def restore(self) -> None:
        """As they were."""
        for given, kept in zip(self._given, pickle.loads(self._kept), strict=True):  # noqa: S301 - our own, of just now
            given.update(kept)


def resident_mb() -> int:
    """The most that this process had in memory; /proc is not to be read in every berth."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _told(parts: list[Any]) -> bytes:
    try:
        told = pickle.dumps(parts)
    except Exception as error:  # anything may be in the way: an object's own __reduce__, a lock, a generator
        raise Unknown(str(error)) from error
    if len(told) > MOST_BYTES:
        raise Unknown("too much to look at")
    return told


def _own(kind: type, module: str) -> bool:
    return kind.__module__ == module


def _data(names: Any) -> dict[str, Any]:
    return {
        name: _seen(value)
        for name, value in list(names.items())
        if not name.startswith("__") and name != "pytestmark" and _kept(value)  # marks hold parameters
    }


def _kept(value: Any) -> bool:
    if hasattr(value, "cache_info"):
        return True
    return not isinstance(value, _CODE) and type(value).__module__.partition(".")[0] not in _OTHERS


def _seen(value: Any) -> Any:
    """What is remembered of calls counts, not the function."""
    return tuple(value.cache_info()) if hasattr(value, "cache_info") else value


def _cells(function: types.FunctionType) -> list[Any]:
    return list(_contents(function))


def _contents(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue  # empty
        if _kept(value):
            yield _seen(value)
