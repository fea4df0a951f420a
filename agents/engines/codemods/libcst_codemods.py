"""LibCST codemods for the Python files beneath the working directory: ``rename OLD NEW`` and
``remove-unused-imports``.

Standard library and libcst only: it is piped into a python inside the sandbox, where Moorage is not
installed. Every file is computed before the first one is written. Exit code 3 with one line on stderr is a
refusal.
"""

import json
import os
import re
import sys
from collections import Counter

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.commands.remove_unused_imports import RemoveUnusedImportsCommand
from libcst.metadata import MetadataWrapper, ParentNodeProvider, ScopeProvider
from libcst.metadata.scope_provider import Assignment, GlobalScope, ImportAssignment

STAR = re.compile(rb"import\s*[(]?\s*[*]")  # passes names on without mentioning them
SKIPPED = {"node_modules", "__pycache__", "venv", "site-packages", "build", "dist"}


class Refused(Exception):
    """The codemod cannot be sure; nothing was written."""


class Source:
    """One parsed file: its path, the dotted names it can be imported by, its package, and its scopes."""

    def __init__(self, path, data):
        self.path, self.data = path, data
        self.wrapper = MetadataWrapper(cst.parse_module(data))
        self.module = self.wrapper.module
        self.full_name, self.names, self.package = names_of(path)
        self._scopes = None

    @property
    def scopes(self):
        if self._scopes is None:
            self._scopes = self.wrapper.resolve(ScopeProvider)
        return self._scopes

    @property
    def global_scope(self):
        return self.scopes.get(self.module.body[0]) if self.module.body else None

    def all_scopes(self):
        return {scope for scope in self.scopes.values() if scope is not None}


def names_of(path):
    """(the dotted path, every dotted name it may be imported by, the package's parts)."""
    parts = path.rpartition(".")[0].split("/")
    package = parts[:-1]
    if parts[-1] == "__init__":
        parts = package
    top = len(package)
    while top and os.path.exists("/".join([*package[:top], "__init__.py"])):
        top -= 1
    names = {".".join(parts), ".".join(parts[top:])}
    if parts[:1] == ["src"]:
        names.add(".".join(parts[1:]))
    return ".".join(parts), names - {""}, package


def python_files():
    for folder, folders, files in os.walk(".", followlinks=False):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), ".").replace(os.sep, "/")
            if name.endswith((".py", ".pyi")) and not os.path.islink(path):
                yield path


def load(mentioning=None):
    """Every parsable source; a file that does not parse is refused only where it mentions the name in
    question.
    """
    sources = []
    for path in python_files():
        with open(path, "rb") as file:
            data = file.read()
        if mentioning and mentioning.encode() not in data and not STAR.search(data):
            continue
        try:
            sources.append(Source(path, data))
        except (cst.ParserSyntaxError, UnicodeDecodeError, SyntaxError, RecursionError) as error:
            if mentioning and mentioning.encode() in data:
                raise Refused(f"{path} mentions {mentioning} and cannot be parsed: {type(error).__name__}") from error
            print(f"{path} cannot be parsed; left as it is", file=sys.stderr)  # noqa: T201
    claims = Counter(name for source in sources for name in source.names)
    for source in sources:  # two folders with a "tools.py" each: neither is plainly "tools"
        source.names = {name for name in source.names if claims[name] == 1} | {source.full_name}
    return sources


def save(changed):
    """Write {path: bytes} through temporary files that keep the mode."""
    for path, data in changed.items():
        temporary = path + ".moorage-tmp"
        with open(temporary, "wb") as file:
            file.write(data)
        os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        os.replace(temporary, path)


# --- rename ---


def dotted(node):
    """The dotted text of Name and Attribute chains; None for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        left = dotted(node.value)
        return None if left is None else f"{left}.{node.attr.value}"
    return None


def imported_modules(source, node):
    """The absolute dotted names that ``from X import`` of this file can mean."""
    name = dotted(node.module) if node.module else ""
    if not node.relative:
        return {name}
    package = source.package[: len(source.package) - len(node.relative) + 1]
    roots = {tuple(package[at:]) for at in range(len(package) + 1)}
    return {".".join([*root, *([name] if name else [])]) for root in roots} - {""}


class Imports(cst.CSTVisitor):
    """What a file imports. ``bound``: (local name, absolute module or name it may stand for)."""

    def __init__(self, source):
        self.source, self.named, self.stars, self.bound, self.rebound = source, [], [], [], set()
        source.module.visit(self)

    def visit_ImportFrom(self, node):
        modules = imported_modules(self.source, node)
        if isinstance(node.names, cst.ImportStar):
            self.stars.append(modules)
            return
        for alias in node.names:
            name = alias.name.value
            self.named.append((modules, name, alias))
            self.bound += [(alias.evaluated_alias or name, f"{module}.{name}") for module in modules]

    def visit_Import(self, node):
        for alias in node.names:
            name = dotted(alias.name)
            parts = name.split(".")
            if alias.asname:
                self.bound.append((alias.evaluated_alias, name))
            else:  # "import a.b" makes "a" and "a.b" known
                self.bound += [(".".join(parts[:at]),) * 2 for at in range(1, len(parts) + 1)]

    def visit_Global(self, node):
        self.rebound |= {item.name.value for item in node.names}


class Rename:
    """Renames one module-level name: its definition, every import of it, and every reference through
    those.
    """

    def __init__(self, old, new):
        self.scope_name, _, self.old = old.rpartition(".")
        self.new = new
        self.sources = load(mentioning=self.old)
        self.targets = {}  # id(node) -> (source, node): Name nodes that get the new name
        self.homes = {}  # module name -> Source: modules in which OLD is an attribute

    def run(self):
        home = self.find_home()
        self.take(home)
        pending = [home]
        while pending:  # a module that imports the name passes it on to those that import it from there
            given = pending.pop()
            for source in self.sources:
                if self.follow(source, given) and source not in self.homes.values():
                    self.take(source)
                    pending.append(source)
        return self.rewritten()

    def find_home(self):
        homes = [s for s in self.sources if self.defined(s) and self.named(s)]
        if not homes:
            where = f" in {self.scope_name}" if self.scope_name else ""
            raise Refused(f"no module-level definition of {self.old}{where} was found")
        if len(homes) > 1:
            raise Refused(f"{self.old} is defined in {', '.join(s.path for s in homes)}: write it dotted")
        if any(isinstance(found, ImportAssignment) for found in homes[0].global_scope.assignments[self.old]):
            raise Refused(f"{self.old} is imported as well as defined in {homes[0].path}")
        return homes[0]

    def named(self, source):
        return not self.scope_name or self.scope_name in source.names

    def defined(self, source):
        scope = source.global_scope
        return scope is not None and any(
            isinstance(found, Assignment) and not isinstance(found, ImportAssignment)
            for found in scope.assignments[self.old]
            if isinstance(found.scope, GlobalScope)
        )

    def take(self, source):
        """Mark the definition and the references of OLD in one module, and its ``__all__``."""
        for name in source.names:
            self.homes[name] = source
        if self.old in Imports(source).rebound:
            raise Refused(f"{source.path} rebinds {self.old} by a global statement")
        self.refuse_collision(source, source.global_scope)
        self.mark_assignments(source, source.global_scope)
        self.mark_all_list(source)

    def refuse_collision(self, source, scope):
        if any(found.scope is scope for found in scope.assignments[self.new]):
            raise Refused(f"{self.new} exists already in {source.path}")

    def mark_assignments(self, source, scope):
        """Mark what binds OLD in a scope, and its references; an import's own words are follow()'s to
        mark.
        """
        for found in [found for found in scope.assignments[self.old] if found.scope is scope]:
            if not isinstance(found, ImportAssignment):
                self.mark(source, name_of(found.node))
            self.mark_references(source, found)

    def mark_references(self, source, assignment):
        for access in assignment.references:
            node = access.node
            while isinstance(node, cst.Attribute):
                node = node.value
            self.refuse_shadowing(source, access)
            self.mark(source, node)

    def refuse_shadowing(self, source, access):
        scope = access.scope
        while scope is not None and not isinstance(scope, GlobalScope):
            if any(found.scope is scope for found in scope.assignments[self.new]):
                raise Refused(f"{self.new} is a local name in {source.path} where {self.old} is used")
            scope = scope.parent if scope.parent is not scope else None

    def mark(self, source, node):
        """A Name, or the string that a quoted annotation is."""
        if isinstance(node, cst.SimpleString) or (isinstance(node, cst.Name) and node.value == self.old):
            self.targets[id(node)] = (source, node)

    def mark_all_list(self, source):
        for part in [part for line in source.module.body for part in small_statements(line)]:
            targets = [entry.target for entry in getattr(part, "targets", ())] or [getattr(part, "target", None)]
            if any(dotted(target) == "__all__" for target in targets):
                for element in getattr(part.value, "elements", ()):
                    if isinstance(element.value, cst.SimpleString) and element.value.raw_value == self.old:
                        self.mark(source, element.value)

    def follow(self, source, given):
        """Mark every use of OLD that comes from the module ``given``; True when this file passes it on."""
        imports = Imports(source)
        if any(modules & given.names for modules in imports.stars):
            raise Refused(f"{source.path} takes everything from {given.full_name} by a star import")
        passed_on = False
        for modules, name, alias in imports.named:
            if modules & given.names and name == self.old:
                self.mark(source, alias.name)
                if alias.asname is None:
                    self.mark_import_uses(source, alias)
                    passed_on = True
        for local, full in imports.bound:
            for name in given.names:
                if name == full or name.startswith(f"{full}."):
                    self.mark_attributes(source, local + name[len(full) :])
        return passed_on

    def mark_import_uses(self, source, alias):
        """The references of one import, and of a fallback that binds the same name (try … except
        ImportError).
        """
        for scope in source.all_scopes():
            for found in scope.assignments[self.old]:
                if isinstance(found, ImportAssignment) and imports_alias(found, alias):
                    self.refuse_collision(source, found.scope)
                    self.mark_assignments(source, found.scope)

    def mark_attributes(self, source, module_name):
        """Mark ``module_name.OLD`` wherever its first name is an import, not something local."""
        wanted = f"{module_name}.{self.old}"
        parts = module_name.split(".")
        prefixes = {".".join(parts[:at]) for at in range(1, len(parts) + 1)}  # libcst binds "a" and "a.b"
        for scope in source.all_scopes():
            for found in [found for prefix in prefixes for found in scope.assignments[prefix]]:
                if isinstance(found, ImportAssignment):
                    for access in found.references:
                        self.mark_attribute(source, access.node, wanted)

    def mark_attribute(self, source, node, wanted):
        parents = source.wrapper.resolve(ParentNodeProvider)
        while isinstance(parents.get(node), cst.Attribute) and parents[node].value is node:
            node = parents[node]
        while isinstance(node, cst.Attribute):
            if dotted(node) == wanted:
                self.mark(source, node.attr)
            node = node.value

    def rewritten(self):
        changed = {}
        for source in self.sources:
            ids = {key for key, (owner, _) in self.targets.items() if owner is source}
            if ids:
                changed[source.path] = source.module.visit(Replace(ids, self.old, self.new)).bytes
        return changed


def small_statements(line):
    return line.body if isinstance(line, cst.SimpleStatementLine) else ()


def name_of(node):
    """The Name of a definition."""
    return node.name if isinstance(node, (cst.FunctionDef, cst.ClassDef)) else node


def imports_alias(assignment, alias):
    names = getattr(assignment.node, "names", ())
    return not isinstance(names, cst.ImportStar) and any(name is alias for name in names)


class Replace(cst.CSTTransformer):
    """Gives the marked nodes the new name."""

    def __init__(self, ids, old, new):
        self.ids, self.old, self.new = ids, old, new

    def leave_Name(self, original_node, updated_node):
        return updated_node.with_changes(value=self.new) if id(original_node) in self.ids else updated_node

    def leave_SimpleString(self, original_node, updated_node):
        if id(original_node) not in self.ids:
            return updated_node
        return updated_node.with_changes(value=re.sub(rf"\b{self.old}\b", self.new, updated_node.value))


# --- remove-unused-imports ---


def remove_unused_imports():
    changed = {}
    for source in load():
        # An import in __init__ is a re-export, one in a stub is an interface.
        if source.path.endswith(("__init__.py", ".pyi")):
            continue
        context = CodemodContext(
            filename=source.path,
            full_module_name=source.full_name,
            full_package_name=".".join(source.package),
        )
        result = trimmed(source.module, Prune(context).transform_module(source.module)).bytes
        if result != source.data:
            changed[source.path] = result
    return changed


class Prune(RemoveUnusedImportsCommand):
    """LibCST's own command, which leaves "noqa" and ``__all__`` alone; further cases are left alone here."""

    def visit_Try(self, node):
        return False  # an import in a try asks whether the module is there

    def visit_ImportFrom(self, node):
        return False if node.module and dotted(node.module) == "__future__" else super().visit_ImportFrom(node)

    def _handle_import(self, node):
        names = () if isinstance(node.names, cst.ImportStar) else node.names
        if not any(alias.evaluated_alias == alias.evaluated_name for alias in names):  # "x as x": exported
            super()._handle_import(node)


def trimmed(before, after):
    """Blank lines that stood behind a removed first statement go with it."""
    first = after.body[0] if after.body else None
    if first is None or first.deep_equals(before.body[0]):
        return after
    lines = list(first.leading_lines)
    while lines and lines[0].comment is None:
        lines.pop(0)
    return after.with_changes(body=[first.with_changes(leading_lines=lines), *after.body[1:]])


def main(arguments):
    try:
        if arguments[:1] == ["rename"] and len(arguments) == 3:
            changed = Rename(arguments[1], arguments[2]).run()
        elif arguments == ["remove-unused-imports"]:
            changed = remove_unused_imports()
        else:
            raise Refused("usage: rename OLD NEW | remove-unused-imports")
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)  # noqa: T201 - a program's own output
        return 3
    save(changed)
    print(json.dumps({"changed": sorted(changed)}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
