"""LibCST codemods for the Python files beneath the working directory: ``rename OLD NEW`` and
``remove-unused-imports``.

Standard library and libcst only: it is piped into a python inside the sandbox, where Moorage is not
installed. Every file is computed before the first one is written. Exit code 3 with one line on stderr is a
refusal.
"""

import ast
import json
import os
import re
import sys

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, ScopeProvider
from libcst.metadata.scope_provider import Assignment, GlobalScope, ImportAssignment

SKIPPED = {"node_modules", "__pycache__", "venv", "site-packages", "build", "dist"}


class Refused(Exception):
    """The codemod cannot be sure; nothing was written."""


class Source:
    """One parsed file: its path, the dotted names it can be imported by, its package, and its scopes."""

    def __init__(self, path, data):
        self.path, self.data = path, data
        self.wrapper = MetadataWrapper(cst.parse_module(data))
        self.module = self.wrapper.module
        self.names, self.package = names_of(path)
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
    """({every dotted module name}, package parts): from the working directory, and from the topmost
    package.
    """
    parts = path[:-3].split("/") if path.endswith(".py") else path[:-4].split("/")
    package = parts[:-1]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    top = len(package)
    while top and os.path.exists("/".join([*package[:top], "__init__.py"])):
        top -= 1
    names = {".".join(parts), ".".join(parts[top:])}
    if parts[:1] == ["src"]:
        names.add(".".join(parts[1:]))
    return {name for name in names if name}, package


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
        if mentioning and not path.endswith("__init__.py") and mentioning.encode() not in data:
            continue
        try:
            sources.append(Source(path, data))
        except (cst.ParserSyntaxError, UnicodeDecodeError, SyntaxError, RecursionError) as error:
            if mentioning and mentioning.encode() in data:
                raise Refused(
                    f"{path} mentions {mentioning} and cannot be parsed: {type(error).__name__}"
                ) from error
            print(f"{path} cannot be parsed; left as it is", file=sys.stderr)  # noqa: T201 - a program's own output
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
    """Collects what a file imports: (modules, imported name, ImportAlias, is_star)."""

    def __init__(self, source):
        self.source, self.found, self.stars, self.plain = source, [], [], []

    def visit_ImportFrom(self, node):
        modules = imported_modules(self.source, node)
        if isinstance(node.names, cst.ImportStar):
            self.stars.append(modules)
        else:
            self.found += [(modules, alias.name.value, alias) for alias in node.names]

    def visit_Import(self, node):
        self.plain += [(dotted(alias.name), alias) for alias in node.names]


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
        scope = source.global_scope
        if scope is None:
            return
        if any(isinstance(found.scope, GlobalScope) for found in scope.assignments[self.new]):
            raise Refused(f"{self.new} exists already in {source.path}")
        for found in scope.assignments[self.old]:
            if not isinstance(found.scope, GlobalScope):
                continue
            if isinstance(found, ImportAssignment):
                continue  # follow() decides about these: the import may carry another name
            self.mark(source, name_of(found.node))
            self.mark_references(source, found)
        self.mark_all_list(source)

    def mark_references(self, source, assignment):
        for access in assignment.references:
            node = access.node
            while isinstance(node, cst.Attribute):
                node = node.value
            if isinstance(node, cst.Name) and node.value == self.old:
                self.refuse_shadowing(source, access)
                self.mark(source, node)

    def refuse_shadowing(self, source, access):
        scope = access.scope
        while scope is not None and not isinstance(scope, GlobalScope):
            if any(found.scope is scope for found in scope.assignments[self.new]):
                raise Refused(f"{self.new} is a local name in {source.path} where {self.old} is used")
            scope = scope.parent if scope.parent is not scope else None

    def mark(self, source, node):
        if isinstance(node, cst.Name) and node.value == self.old:
            self.targets[id(node)] = (source, node)

    def mark_all_list(self, source):
        for statement in source.module.body:
            for part in (
                getattr(statement, "body", ()) if isinstance(statement, cst.SimpleStatementLine) else ()
            ):
                target = getattr(part, "target", None) or (
                    part.targets[0].target if isinstance(part, cst.Assign) else None
                )
                if target is not None and dotted(target) == "__all__":
                    for element in getattr(part.value, "elements", ()):
                        if (
                            isinstance(element.value, cst.SimpleString)
                            and element.value.raw_value == self.old
                        ):
                            self.targets[id(element.value)] = (source, element.value)

    def follow(self, source, given):
        """Mark every use of OLD in ``source`` that comes from the module ``given``; True when it is passed
        on.
        """
        imports = Imports(source)
        source.module.visit(imports)
        if any(modules & given.names for modules in imports.stars) and self.old.encode() in source.data:
            raise Refused(f"{source.path} takes everything from {sorted(given.names)[0]} by a star import")
        passed_on = False
        for modules, name, alias in imports.found:
            if modules & given.names and name == self.old:
                self.mark(source, alias.name)
                passed_on = passed_on or alias.asname is None
                if alias.asname is None:
                    self.mark_import_uses(source, alias)
            elif any(f"{module}.{name}" in given.names for module in modules):
                self.mark_attributes(source, alias.asname.name.value if alias.asname else name)
        for name, alias in imports.plain:
            if name in given.names:
                self.mark_attributes(source, dotted(alias.asname.name) if alias.asname else name)
        return passed_on

    def mark_import_uses(self, source, alias):
        for scope in source.all_scopes():
            for found in scope.assignments[self.old]:
                if isinstance(found, ImportAssignment) and imports_alias(found, alias):
                    if any(other.scope is found.scope for other in found.scope.assignments[self.new]):
                        raise Refused(f"{self.new} exists already in {source.path}")
                    self.mark_references(source, found)

    def mark_attributes(self, source, module_name):
        """Mark ``module_name.OLD`` wherever its first name is an import, not something local."""
        wanted = f"{module_name}.{self.old}"
        parts = module_name.split(".")
        prefixes = [".".join(parts[:at]) for at in range(1, len(parts) + 1)]  # libcst binds "a" and "a.b"
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
        return updated_node.with_changes(value=updated_node.value.replace(self.old, self.new))


# --- remove-unused-imports ---


def remove_unused_imports():
    changed = {}
    for source in load():
        # An import in __init__ is a re-export, one in a stub or with "noqa" is meant.
        if source.path.endswith(("__init__.py", ".pyi")):
            continue
        result = source.module.visit(Prune(source)).bytes
        if result != source.data:
            changed[source.path] = result
    return changed


class Prune(cst.CSTTransformer):
    """Takes away imported names without a reference, and statements left without names."""

    def __init__(self, source):
        self.source = source
        self.exported = exported_names(source.data)
        self.quoted = quoted_names(source.module)
        self.guarded = 0
        self.kept_lines = 0

    def leave_Module(self, original_node, updated_node):
        """Blank lines that stood behind a removed first statement go with it."""
        first = updated_node.body[0] if updated_node.body else None
        if first is None or first.deep_equals(original_node.body[0]):
            return updated_node
        lines = list(first.leading_lines)
        while lines and lines[0].comment is None:
            lines.pop(0)
        first = first.with_changes(leading_lines=lines)
        return updated_node.with_changes(body=[first, *updated_node.body[1:]])

    def visit_Try(self, node):  # an import in a try asks whether the module is there
        self.guarded += 1

    def leave_Try(self, original_node, updated_node):
        self.guarded -= 1
        return updated_node

    def visit_SimpleStatementLine(self, node):
        code = self.source.module.code_for_node(node)
        if "noqa" in code or "pragma" in code or "type: ignore" in code:
            self.kept_lines += 1

    def leave_SimpleStatementLine(self, original_node, updated_node):
        code = self.source.module.code_for_node(original_node)
        if "noqa" in code or "pragma" in code or "type: ignore" in code:
            self.kept_lines -= 1
        return updated_node

    def leave_IndentedBlock(self, original_node, updated_node):
        if updated_node.body:
            return updated_node
        return updated_node.with_changes(body=[cst.SimpleStatementLine([cst.Pass()])])

    def leave_Import(self, original_node, updated_node):
        return self.pruned(original_node, updated_node)

    def leave_ImportFrom(self, original_node, updated_node):
        if (
            isinstance(original_node.names, cst.ImportStar)
            or dotted(original_node.module or cst.Name("x")) == "__future__"
        ):
            return updated_node
        return self.pruned(original_node, updated_node)

    def pruned(self, original_node, updated_node):
        if self.guarded or self.kept_lines:
            return updated_node
        kept = [
            new
            for old, new in zip(original_node.names, updated_node.names, strict=True)
            if self.used(original_node, old)
        ]
        if len(kept) == len(updated_node.names):
            return updated_node
        if not kept:
            return cst.RemoveFromParent()
        kept[-1] = kept[-1].with_changes(comma=updated_node.names[-1].comma)
        return updated_node.with_changes(names=kept)

    def used(self, node, alias):
        name = dotted(alias.asname.name) if alias.asname else dotted(alias.name)
        if alias.asname and dotted(alias.name) == name:
            return True  # "import x as x" says: exported
        bound = name if alias.asname else name.split(".")[0]
        if bound in self.exported or bound in self.quoted:
            return True
        scope = self.source.scopes.get(node)
        found = [f for f in scope.assignments[bound] if isinstance(f, ImportAssignment)] if scope else []
        return not found or any(f.references for f in found)


def exported_names(data):
    """The strings of every ``__all__``."""
    names = set()
    for node in ast.walk(ast.parse(data)):
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in targets
        ):
            names |= {
                leaf.value
                for leaf in ast.walk(node)
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
            }
    return names


def quoted_names(module):
    """Every word inside a string or comment that may be a quoted annotation or a type comment."""
    found = set()

    class Words(cst.CSTVisitor):
        def visit_SimpleString(self, node):
            if len(node.value) < 300:
                found.update(re.findall(r"[^\W\d]\w*", node.value))

        def visit_Comment(self, node):
            if "type:" in node.value:
                found.update(re.findall(r"[^\W\d]\w*", node.value))

    module.visit(Words())
    return found


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
