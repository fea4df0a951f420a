"""Which full name stands behind an expression of a Python file, as far as the file itself tells."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator

_BUILTINS = frozenset(dir(builtins))
_DICTS = frozenset({"__dict__"})


class Names:
    """The imports of one file, what it calls its own, and the other names that it gives to what it imported."""

    def __init__(self, module: ast.Module) -> None:
        self._known: dict[str, str] = {}
        self._own: Counter[str] = Counter()  # and how often each is bound
        self._texts: dict[str, str] = {}
        self._choices: set[str] = set()  # names of one of several texts that are written here
        self._dicts: dict[str, ast.expr] = {}
        self._stars: list[str] = []
        given: list[tuple[str, ast.expr]] = []
        for node in ast.walk(module):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    self._known[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        self._stars.append(str(node.module))
                    self._known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            else:
                self._own.update(_bound(node))
                given += _given(node)
        self._rename(given)

    def _rename(self, given: list[tuple[str, ast.expr]]) -> None:
        """Names that are given to one thing only: ``run = os.system``, ``name = "system"``."""
        for name, value in given:
            if self._own[name] > 1 or name in self._known:
                continue
            if isinstance(value, ast.Dict | ast.Call):
                self._dicts[name] = value
            if (text := self.text(value)) is not None:
                self._texts[name] = text
            elif self.written(value):
                self._choices.add(name)
            elif isinstance(value, ast.Name | ast.Attribute | ast.Call | ast.Subscript) and (full := self.full(value)):
                self._known[name] = full

    def full(self, node: ast.expr) -> str:
        """``os.system`` for ``o.system`` after ``import os as o``; empty where nobody can tell."""
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=value, attr=name):
                inner = self.full(value)
                return f"{inner}.{name}" if inner else ""
            case ast.Call():
                return self._fetched(node)
            case ast.Subscript(value=value, slice=key):
                return self._looked_up(value, self.text(key))
            case ast.NamedExpr(value=value):
                return self.full(value)
        return ""

    def entry(self, node: ast.expr, key: str) -> ast.expr | None:
        """What a dictionary holds under a key: one that is written there, or that a name stands for."""
        if isinstance(node, ast.Name):
            node = self._dicts.get(node.id, node)
        if isinstance(node, ast.Dict):
            found = [
                value for name, value in zip(node.keys, node.values, strict=True) if name and self.text(name) == key
            ]
            return found[-1] if found else None
        if isinstance(node, ast.Call) and self.full(node.func) == "dict":
            return next((word.value for word in node.keywords if word.arg == key), None)
        return None

    def text(self, node: ast.expr) -> str | None:
        """The string that an expression always is: a literal, a sum of them, or a name for one."""
        match node:
            case ast.Constant(value=str(value)):
                return value
            case ast.Name(id=name):
                return self._texts.get(name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                one, other = self.text(left), self.text(right)
                return one + other if one is not None and other is not None else None
            case ast.JoinedStr(values=values):
                parts = [self.text(value.value if isinstance(value, ast.FormattedValue) else value) for value in values]
                return "".join(part for part in parts if part is not None) if None not in parts else None
            case (
                ast.Call(func=ast.Attribute(value=between, attr="join"), args=[ast.List(elts=pieces)])
                | ast.Call(func=ast.Attribute(value=between, attr="join"), args=[ast.Tuple(elts=pieces)])
            ):
                glue, words = self.text(between), [self.text(piece) for piece in pieces]
                if glue is not None and None not in words:
                    return glue.join(word for word in words if word is not None)
        return None

    def written(self, node: ast.expr) -> bool:
        """Whether an expression is always a string that stands in the file, be it one of two."""
        if isinstance(node, ast.IfExp):
            return self.written(node.body) and self.written(node.orelse)
        return self.text(node) is not None or (isinstance(node, ast.Name) and node.id in self._choices)

    def _name(self, name: str) -> str:
        if name in self._known:
            return self._known[name]
        if name in self._own:
            return ""
        if name == "__builtins__":
            return "builtins"
        if name in _BUILTINS:
            return name
        return f"{self._stars[-1]}.{name}" if self._stars else ""

    def _fetched(self, call: ast.Call) -> str:
        """``getattr(os, "system")``, ``__import__("os")`` and ``importlib.import_module("os")``."""
        name = self.full(call.func)
        words = [self.text(given) for given in call.args[:2]]
        if name == "getattr" and len(words) == 2 and words[1]:
            inner = self.full(call.args[0])
            return f"{inner}.{words[1]}" if inner else ""
        if name in {"__import__", "importlib.import_module"} and words and words[0]:
            return words[0]
        return ""

    def _looked_up(self, value: ast.expr, key: str | None) -> str:
        """``os.__dict__["system"]``, ``vars(os)["system"]``, ``sys.modules["os"]`` and ``globals()["eval"]``."""
        if key is None:
            return ""
        if isinstance(value, ast.Attribute) and value.attr in _DICTS:
            inner = self.full(value.value)
            return f"{inner}.{key}" if inner else ""
        if isinstance(value, ast.Call):
            name = self.full(value.func)
            if name == "vars" and value.args:
                inner = self.full(value.args[0])
                return f"{inner}.{key}" if inner else ""
            return self._name(key) if name in {"globals", "locals", "vars"} else ""
        inner = self.full(value)
        return key if inner == "sys.modules" else (f"builtins.{key}" if inner == "builtins" else "")


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value
