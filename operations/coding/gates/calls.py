"""Gates on what a change calls, by the syntax tree of Python files: what runs text as code, and known weaknesses.

The second follows the rules of bandit that name a plain mistake (their numbers are given); its guesses are left out.
A call that only moved, or whose line was only re-indented, is none of the change's.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator

from operations.coding.gates.names import Names
from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict

Rules = Callable[[ast.expr, Names], str]

# Dangerous by whatever way they are reached: called, passed on, or kept under another name.
_RUNS_TEXT = {
    "eval": "eval runs text as code", "exec": "exec runs text as code", "builtins.eval": "eval runs text as code",
    "builtins.exec": "exec runs text as code", "os.system": "os.system runs a shell",
    "os.popen": "os.popen runs a shell",
    "subprocess.getoutput": "getoutput runs a shell", "subprocess.getstatusoutput": "getstatusoutput runs a shell",
    "commands.getoutput": "getoutput runs a shell", "pty.spawn": "pty.spawn starts a program at a terminal",
    "pickle.load": "pickle runs what it reads", "pickle.loads": "pickle runs what it reads",
    "pickle.Unpickler": "pickle runs what it reads", "marshal.load": "marshal reads code",
    "marshal.loads": "marshal reads code",
    "dill.load": "dill runs what it reads", "dill.loads": "dill runs what it reads", "shelve.open": "shelve is pickle",
    "cloudpickle.load": "pickle runs what it reads", "cloudpickle.loads": "pickle runs what it reads",
    "jsonpickle.decode": "jsonpickle runs what it reads", "yaml.unsafe_load": "yaml.unsafe_load runs what it reads",
    "yaml.UnsafeLoader": "yaml.UnsafeLoader runs what it reads", "code.interact": "code.interact opens a console",
    "asyncio.create_subprocess_shell": "create_subprocess_shell runs a shell",
}  # fmt: skip
_WEAK = {
    "ssl._create_unverified_context": "certificates are not checked (B323)",
    "ssl.CERT_NONE": "certificates are not checked (B502)",
    "paramiko.AutoAddPolicy": "any host key is taken (B507)", "paramiko.WarningPolicy": "any host key is taken (B507)",
    "tempfile.mktemp": "the name is free only until it is used (B306)", "os.tempnam": "as tempfile.mktemp (B325)",
    "telnetlib.Telnet": "telnet sends all in the clear (B312)",
    "Crypto.Cipher.DES.new": "a broken cipher (B304)", "Crypto.Cipher.ARC4.new": "a broken cipher (B304)",
    "django.utils.safestring.mark_safe": "mark_safe trusts its text as HTML (B308)",
}  # fmt: skip
_LOADERS = frozenset({"yaml.SafeLoader", "yaml.CSafeLoader", "yaml.loader.SafeLoader", "yaml.BaseLoader"})
_HASHES = frozenset({"hashlib.md5", "hashlib.sha1", "hashlib.md4"})


def dangerous(subject: Subject) -> GateResult:
    """No new way of running text as code, as a command line, or as a pickle."""
    return _judged(subject, "dangerous calls", _dangerous, lambda path: False)


def security(subject: Subject) -> GateResult:
    """No new weakness of the kinds that bandit knows; tests may do what they test."""
    return _judged(subject, "security", _weak, is_test)


def _judged(subject: Subject, name: str, rules: Rules, left_out: Callable[[str], bool]) -> GateResult:
    # Counted over the whole change: what moved from one file to another is not new.
    known: Counter[tuple[str, str]] = Counter()
    new: list[tuple[str, int, str, str]] = []
    unread = []
    for path, (before, after) in subject.python.items():
        if left_out(path):
            continue
        if after is None and subject.sources[path].after is not None:
            unread.append(path)
        known.update((why, ast.unparse(node)) for node, why in _found(before, rules))
        for node, why in _found(after, rules):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if any((path, line) in subject.added_numbers for line in lines):
                new.append((path, node.lineno, why, ast.unparse(node)))
            else:
                known[why, ast.unparse(node)] -= 1
    found = []
    for path, line, why, text in new:
        if known[why, text] > 0:
            known[why, text] -= 1
        else:
            found.append(f"{path} line {line}: {why}")
    fine = "none new in Python files" + (f"; {len(unread)} could not be parsed" if unread else "")
    return verdict(name, found, fine)


def _found(module: ast.Module | None, rules: Rules) -> Iterator[tuple[ast.expr, str]]:
    if module is None:
        return
    names = Names(module)
    for node in ast.walk(module):
        if isinstance(node, (ast.Call, ast.Name, ast.Attribute)) and (why := rules(node, names)):
            yield node, why


def _dangerous(node: ast.expr, names: Names) -> str:
    if isinstance(node, ast.Call):
        return _fetched(node, names) or _dangerous_call(node, names)
    return _RUNS_TEXT.get(names.full(node), "") if isinstance(getattr(node, "ctx", None), ast.Load) else ""


def _fetched(call: ast.Call, names: Names) -> str:
    return _RUNS_TEXT.get(names.full(call), "")


def _dangerous_call(call: ast.Call, names: Names) -> str:
    name, given = names.full(call.func), {word.arg: word.value for word in call.keywords}
    shell = given.get("shell")
    if name.startswith("subprocess.") and shell is not None and not _is(shell, False):
        return f"{name} runs a shell"
    if name in {"yaml.load", "yaml.load_all"}:
        loader = given.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
        if loader is None or names.full(loader) not in _LOADERS:
            return f"{name} without SafeLoader runs what it reads"
    if name == "torch.load" and not _is(given.get("weights_only"), True):
        return "torch.load is pickle"
    if name == "__import__" and call.args and not isinstance(call.args[0], ast.Constant):
        return "__import__ of a name that is made at run time"
    return ""


def _weak(node: ast.expr, names: Names) -> str:
    if not isinstance(node, ast.Call):
        return _WEAK.get(names.full(node), "") if isinstance(getattr(node, "ctx", None), ast.Load) else ""
    name, given = names.full(node.func), {word.arg: word.value for word in node.keywords}
    if _is(given.get("verify"), False) and name.split(".")[0] in {"requests", "httpx"}:
        return "certificates are not checked (B501)"
    if name in _HASHES and not _is(given.get("usedforsecurity"), False):
        return f"{name} is broken; say usedforsecurity=False where nothing hangs on it (B324)"
    if name == "os.chmod" and len(node.args) > 1 and _opens_to_all(node.args[1]):
        return "anybody may write there (B103)"
    if name == "jinja2.Environment" and not given.get("autoescape"):
        return "jinja2 without autoescape (B701)"
    if _is(given.get("debug"), True) and isinstance(node.func, ast.Attribute) and node.func.attr == "run" and (
        ast.unparse(node.func.value) in {"app", "application"}
    ):  # fmt: skip
        return "a debugger for everybody (B201)"
    if isinstance(node.func, ast.Attribute) and node.func.attr in {"execute", "executemany", "raw"} and node.args:
        return "SQL is put together from text (B608)" if _made_sql(node.args[0]) else ""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "extractall" and not node.keywords and (
        ast.unparse(node.func.value).startswith(("tar", "tarfile"))
    ):  # fmt: skip
        return "an archive may write anywhere; give it filter='data' (B202)"
    return ""


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _opens_to_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and bool(node.value & 0o002)


_SQL = ("select ", "insert into ", "update ", "delete from ", "drop ", "alter ")


def _made_sql(node: ast.expr) -> bool:
    """An f-string, a sum, a ``%`` or a ``.format`` whose first words are SQL and which takes in what is no constant."""
    if isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        made = any(isinstance(value, ast.FormattedValue) and not _is_name_of_ours(value.value) for value in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        first = node.left
        while isinstance(first, ast.BinOp):
            first = first.left
        made = not isinstance(node.right, ast.Constant) and not _is_name_of_ours(node.right)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        first, made = node.func.value, True
    else:
        return False
    words = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
    return made and words.strip().lower().startswith(_SQL)


def _is_name_of_ours(node: ast.expr) -> bool:
    """What no parameter can stand for: a constant by its spelling, a model's table or column, a row of placeholders."""
    words = ast.unparse(node)
    if words in {"places", "placeholders", "marks"}:
        return True
    return words.rsplit(".", 1)[-1].isupper() or words.endswith((".db_table", ".column")) or "quote_name(" in words
