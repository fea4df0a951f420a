"""Which full name stands behind an expression of a Python file, as far as its imports tell."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

_BUILTINS = frozenset(dir(builtins))


class Names:
    """The imports of one file, and what it calls its own."""

    def __init__(self, module: ast.Module) -> None:
        self._known: dict[str, str] = {}
        self._own: set[str] = set()
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    self._known[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self._known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            else:
                self._own.update(_bound(node))

    def full(self, node: ast.expr) -> str:
        """``os.system`` for ``o.system`` after ``import os as o``; empty where nobody can tell."""
        if isinstance(node, ast.Name):
            if node.id in self._known:
                return self._known[node.id]
            return node.id if node.id in _BUILTINS and node.id not in self._own else ""
        if isinstance(node, ast.Attribute):
            inner = self.full(node.value)
            return f"{inner}.{node.attr}" if inner else ""
        if isinstance(node, ast.Call):
            return self._fetched(node)
        return ""

    def _fetched(self, call: ast.Call) -> str:
        """``getattr(os, "system")``, ``__import__("os")`` and ``importlib.import_module("os")``."""
        name = self.full(call.func)
        words = [arg.value if isinstance(arg, ast.Constant) else None for arg in call.args]
        if name == "getattr" and len(words) >= 2 and isinstance(words[1], str):
            inner = self.full(call.args[0])
            return f"{inner}.{words[1]}" if inner else ""
        if name in {"__import__", "importlib.import_module"} and words and isinstance(words[0], str):
            return words[0]
        return ""


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
