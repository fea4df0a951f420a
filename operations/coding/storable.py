"""Texts that every database takes: PostgreSQL's JSON knows neither NUL nor half a surrogate pair."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> Any:
    """The same JSON value with what cannot be stored shown as a replacement character."""
    if isinstance(value, str):
        clean = value.replace("\0", "\N{SYMBOL FOR NULL}")
        return clean.encode("utf-8", "replace").decode() if not clean.isascii() else clean
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, (list, tuple)) else value
