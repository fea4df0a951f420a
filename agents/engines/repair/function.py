"""One suspicious function as operators see it: its nodes, the names in reach, and what types they were seen to have."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from agents.engines.repair.precedence import fit
from agents.engines.repair.proposals import Proposal
from agents.engines.repair.source import FUNCTIONS, Edit, Source

Kinds = frozenset[str]
UNKNOWN: Kinds = frozenset()
NUMBERS = frozenset({"int", "float", "bool", "complex", "Fraction", "Decimal"})
SEQUENCES = frozenset({"list", "tuple", "deque", "str", "range", "bytes"})
MAPPINGS = frozenset({"dict", "defaultdict", "Counter", "OrderedDict"})
COLLECTIONS = SEQUENCES | MAPPINGS | {"set", "frozenset"}
_BY_CALL = {
    "len": "int", "int": "int", "sum": "int", "ord": "int", "list": "list", "sorted": "list", "set": "set",
    "dict": "dict", "str": "str", "chr": "str", "tuple": "tuple", "float": "float", "range": "range", "any": "bool",
    "all": "bool", "isinstance": "bool", "bool": "bool", "defaultdict": "defaultdict", "deque": "deque",
    "Counter": "Counter",
}  # fmt: skip
_BY_NODE = {
    ast.List: "list", ast.ListComp: "list", ast.Set: "set", ast.SetComp: "set", ast.Dict: "dict", ast.DictComp: "dict",
    ast.Tuple: "tuple", ast.JoinedStr: "str", ast.Compare: "bool",
}  # fmt: skip


class Function:
    """A function (or the module's own statements, where ``name`` is "") of a source."""

    def __init__(
        self,
        source: Source,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Module,
        name: str,
        *,
        types: Mapping[str, Mapping[str, Kinds]],
        attributes: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.source, self.node, self.name, self.attributes = source, node, name, attributes
        self._types = types

    @property
    def first_line(self) -> int:
        """The line that Python counts as the function's first: its first decorator's."""
        if isinstance(self.node, ast.Module):
            return 0
        return min([self.node.lineno, *(one.lineno for one in self.node.decorator_list)])

    @cached_property
    def body(self) -> list[ast.stmt]:
        """The statements, without the docstring; of a module only the simple ones."""
        body = self.node.body
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        if isinstance(self.node, ast.Module):
            body = [one for one in body if isinstance(one, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.ClassDef)]
        return body

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Everything in the body that edits may touch, outermost first; nothing inside f-strings or annotations."""
        inside = not isinstance(self.node, ast.Module)
        return [node for statement in self._roots for node in _walk(statement, functions=inside)]

    @cached_property
    def _roots(self) -> list[ast.AST]:
        defaults: list[ast.AST] = []
        if not isinstance(self.node, ast.Module):
            arguments = self.node.args
            defaults = [one for one in (*arguments.defaults, *arguments.kw_defaults) if one is not None]
        return [*self.body, *defaults]

    @cached_property
    def expressions(self) -> list[ast.expr]:
        """The nodes that are read as values."""
        return [
            node
            for node in self.nodes
            if isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", None), ast.Load | None)
        ]

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """All statements, nested ones as well."""
        return [node for node in self.nodes if isinstance(node, ast.stmt)]

    @cached_property
    def blocks(self) -> list[list[ast.stmt]]:
        """Every list of statements: bodies, else branches, handlers."""
        found = [self.body] if not isinstance(self.node, ast.Module) else []
        for node in self.nodes:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                    found.append(block)
        return found

    def parent(self, node: ast.AST) -> ast.AST:
        """What the node stands in."""
        return self.source.parents[node]

    def text(self, node: ast.AST) -> str:
        """The node as written."""
        return self.source.text(node)

    def loops_around(self, node: ast.AST) -> Iterator[ast.For | ast.While | ast.AsyncFor]:
        """The loops of this function that the node stands in, innermost first."""
        while node is not self.node and node in self.source.parents:
            node = self.source.parents[node]
            if isinstance(node, ast.For | ast.While | ast.AsyncFor):
                yield node

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return [] if isinstance(self.node, ast.Module) else _parameters(self.node)

    @cached_property
    def _stored(self) -> dict[str, int]:
        """Local names, and the first line where each gets a value; parameters at line 0."""
        stored: dict[str, int] = dict.fromkeys(self.parameters, 0)
        outer: ast.AST = self.node
        while (outer := self.source.parents.get(outer, self.source.tree)) is not self.source.tree:
            if isinstance(outer, FUNCTIONS):
                stored.update(dict.fromkeys(_parameters(outer), 0))
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and not self._comprehended(node):
                stored[node.id] = min(stored.get(node.id, node.lineno), node.lineno)
            elif isinstance(node, FUNCTIONS):
                stored[node.name] = min(stored.get(node.name, node.lineno), node.lineno)
                stored.update({name: node.lineno for name in _parameters(node) if name not in stored})
        return stored

    def _comprehended(self, node: ast.AST) -> bool:
        parent = self.source.parents.get(node)
        while isinstance(parent, ast.Tuple | ast.Starred):
            parent = self.source.parents.get(parent)
        return isinstance(parent, ast.comprehension)

    def names_at(self, node: ast.AST) -> list[str]:
        """Local names that have a value at the node, most recently given first."""
        line = getattr(node, "lineno", 0)
        first = min((loop.lineno for loop in self.loops_around(node)), default=line)
        last = max((loop.end_lineno or 0 for loop in self.loops_around(node)), default=0)
        found = [
            (-at, name) for name, at in self._stored.items() if at < line or (first <= at <= last) or at == line == 0
        ]
        names = [name for _, name in sorted(found)]
        return self._comprehension_names(node) + names

    def _comprehension_names(self, node: ast.AST) -> list[str]:
        names: list[str] = []
        while node in self.source.parents and not isinstance(node, ast.stmt):
            node = self.source.parents[node]
            for generator in getattr(node, "generators", ()):
                names += [one.id for one in ast.walk(generator.target) if isinstance(one, ast.Name)]
        return names

    @cached_property
    def callables(self) -> dict[str, int]:
        """Functions of this module that can be called by name, with how many arguments they need."""
        return {
            node.name: len(node.args.args) - len(node.args.defaults)
            for node in [*self.source.tree.body, *self.nodes, *([self.node] if self.node else [])]
            if isinstance(node, FUNCTIONS)
        }

    @cached_property
    def elsewhere(self) -> list[ast.AST]:
        """What stands in the file's other functions: people write the same thing rightly in one place and wrongly in
        another (the plastic surgery hypothesis, Barr et al. 2014).
        """
        own = set(self.nodes)
        others = [node for node in ast.walk(self.source.tree) if isinstance(node, FUNCTIONS) and node not in own]
        found = [node for other in others if other is not self.node for part in other.body for node in ast.walk(part)]
        return [node for node in dict.fromkeys(found) if node not in own]

    def reaches(self, text: str, names: Iterable[str]) -> bool:
        """Whether a text of another function reads only what has a value here."""
        try:
            read = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        except (SyntaxError, ValueError):
            return False
        return read <= {*names, *self.module_names, *self.callables, *self._global}

    @cached_property
    def _global(self) -> set[str]:
        """What every function of the module can name: built-ins, what is imported, classes."""
        found = set(dir(builtins))
        for node in self.source.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(one.asname or one.name).partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ClassDef):
                found.add(node.name)
        return found

    def places(self, node: ast.AST) -> dict[str, Kinds]:
        """Names that have a value at the node, and the attributes of ``self``, with their types."""
        names = self.names_at(node)
        found = {name: self.seen.get(name, UNKNOWN) for name in names}
        if "self" in found:
            held = [self.attributes.get(kind, {}) for kind in sorted(found.pop("self"))]
            found |= {f"self.{name}": frozenset({kind}) for one in held for name, kind in list(one.items())[:12]}
        return found

    @cached_property
    def module_names(self) -> list[str]:
        """Constants and classes of the module."""
        names: list[str] = []
        for node in self.source.tree.body:
            if isinstance(node, ast.Assign):
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        return names

    @cached_property
    def seen(self) -> dict[str, Kinds]:
        """Types that names had in any run, here and in what is nested here; ``name[]`` are those of elements."""
        merged: defaultdict[str, set[str]] = defaultdict(set)
        here = f"{self.source.path}::{self.name}"
        for place, names in self._types.items():
            if place == here or place.startswith(f"{here}.<locals>"):
                for name, kinds in names.items():
                    merged[name] |= kinds
        return {name: frozenset(kinds) for name, kinds in merged.items()}

    def kinds(self, node: ast.AST) -> Kinds:
        """The types that the expression can have; empty when nothing is known."""
        match node:
            case ast.Constant(value=value):
                return frozenset({type(value).__name__})
            case ast.Name(id=name):
                return self.seen.get(name, UNKNOWN)
            case ast.Attribute(value=value, attr=attr):
                found = {self.attributes.get(kind, {}).get(attr, "") for kind in self.kinds(value)}
                return frozenset(found - {""})
            case ast.Call(func=ast.Name(id=name)):
                return frozenset({_BY_CALL[name]}) if name in _BY_CALL else UNKNOWN
            case ast.Subscript(value=ast.Name(id=name), slice=place) if not isinstance(place, ast.Slice):
                return self.seen.get(f"{name}[]", UNKNOWN)
            case ast.Subscript(value=value, slice=ast.Slice()):
                return self.kinds(value)
            case ast.BinOp(left=left, right=right):
                return self.kinds(left) & self.kinds(right) or self.kinds(left) | self.kinds(right)
            case ast.UnaryOp(op=op, operand=operand):
                return frozenset({"bool"}) if isinstance(op, ast.Not) else self.kinds(operand)
        return frozenset({_BY_NODE[type(node)]}) if type(node) in _BY_NODE else UNKNOWN

    def returns(self) -> Kinds:
        """The types that the function was seen to give back."""
        return self.seen.get("return", UNKNOWN) - {"NoneType"}

    def swap(self, node: ast.AST, text: str, prior: float, operator: str, words: str = "") -> Proposal:
        """The proposal that puts ``text`` in the node's place, in brackets where they are needed."""
        if isinstance(node, ast.expr):
            text = fit(self.source.parents[node], node, text)
        start, stop = self.source.span(node)
        told = words or f"replace `{_short(self.text(node))}` by `{_short(text)}`"
        return Proposal((Edit(start, stop, text),), prior, operator, getattr(node, "lineno", 1), told)

    def rewrite(self, first: int, last: int, text: str, prior: float, operator: str, words: str) -> Proposal:
        """The proposal that puts whole lines in the place of lines ``first`` to ``last``; none are taken when
        ``last`` is ``first - 1``.
        """
        start, stop = self.source.line_span(first, last) if last >= first else (self.source.starts[first - 1],) * 2
        data = self.source.data
        start, stop = min(start, len(data)), min(stop, len(data))
        if start and start == len(data) and data[-1:] != b"\n":
            text = "\n" + text  # the file's last line is not ended
        return Proposal(
            (Edit(start, stop, text.replace("\n", self.source.newline)),),
            prior,
            operator,
            min(first, self._last),
            words,
        )

    @cached_property
    def _last(self) -> int:
        return max(len(self.source.starts) - 1, 1)


def compatible(one: Kinds, other: Kinds) -> bool:
    """Whether a value of one type may stand where the other stood; unknown types may."""
    one, other = one - {"NoneType"}, other - {"NoneType"}
    if not one or not other or one & other:
        return True
    return any(one & family and other & family for family in (NUMBERS, SEQUENCES - {"str"}, frozenset({"set", "list"})))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = node.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    listed += [one for one in (arguments.vararg, arguments.kwarg) if one]
    return [one.arg for one in listed]


def _walk(node: ast.AST, *, functions: bool) -> Iterator[ast.AST]:
    if isinstance(node, FUNCTIONS) and not functions:
        return
    yield node
    if isinstance(node, ast.JoinedStr):
        return  # Python 3.11 does not know where the parts of an f-string are
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "type_comment"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, functions=functions)


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= 60 else joined[:59] + "…"
