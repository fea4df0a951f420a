"""Gates on what a change calls, by the syntax tree of Python files: what runs text as code, and known weaknesses.

The second follows the rules of bandit that name a plain mistake (their numbers are given); its guesses are left out.
A call that only moved, or whose line was only re-indented, is none of the change's.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from operations.coding.gates.names import Names
from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict

Rules = Callable[[ast.expr, Names, bool], str]  # True for a test

# Dangerous by whatever way they are reached: called, passed on, or kept under another name.
_RUNS_TEXT = {
    "eval": "eval runs text as code", "exec": "exec runs text as code",
    "os.system": "os.system runs a shell", "os.popen": "os.popen runs a shell",
    "posix.system": "posix.system runs a shell", "posix.popen": "posix.popen runs a shell",
    "subprocess.getoutput": "getoutput runs a shell", "subprocess.getstatusoutput": "getstatusoutput runs a shell",
    "commands.getoutput": "getoutput runs a shell", "pty.spawn": "pty.spawn starts a program at a terminal",
    "pickle.load": "pickle runs what it reads", "pickle.loads": "pickle runs what it reads",
    "pickle.Unpickler": "pickle runs what it reads", "marshal.load": "marshal reads code",
    "multiprocessing.reduction.ForkingPickler.loads": "pickle runs what it reads",
    "pandas.read_pickle": "pickle runs what it reads", "joblib.load": "joblib.load is pickle",
    "marshal.loads": "marshal reads code",
    "dill.load": "dill runs what it reads", "dill.loads": "dill runs what it reads", "shelve.open": "shelve is pickle",
    "cloudpickle.load": "pickle runs what it reads", "cloudpickle.loads": "pickle runs what it reads",
    "jsonpickle.decode": "jsonpickle runs what it reads", "yaml.unsafe_load": "yaml.unsafe_load runs what it reads",
    "yaml.UnsafeLoader": "yaml.UnsafeLoader runs what it reads", "code.interact": "code.interact opens a console",
    "code.InteractiveInterpreter": "code.InteractiveInterpreter runs text as code",
    "code.InteractiveConsole": "code.InteractiveConsole opens a console",

    "runpy.run_path": "runpy runs a file as code", "imp.load_source": "imp.load_source runs a file as code",
    "pdb.run": "pdb.run runs text as code", "cProfile.run": "cProfile.run runs text as code",
    "asyncio.create_subprocess_shell": "create_subprocess_shell runs a shell",
}  # fmt: skip
# The same things under other names, longest first.
_SAME = (("builtins.", ""), ("_pickle.", "pickle."), ("cPickle.", "pickle."), ("os.path.os.", "os."))
# What is reached by a name that is made at run time in one of these may be any of the above.
_OF_ALL_KINDS = frozenset({"os", "posix", "builtins", "subprocess", "pickle"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "cmd", "cmd.exe", "powershell", "pwsh"})
_PYTHONS = frozenset({"python", "python3", "sys.executable"})
_STARTS = ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "asyncio.create_subprocess_exec")
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
        names_before, names = subject.names[path]
        known.update((why, ast.unparse(node)) for node, why in _found(before, names_before, rules, is_test(path)))
        for node, why in _found(after, names, rules, is_test(path)):
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


def _found(
    module: ast.Module | None, names: Names | None, rules: Rules, in_test: bool
) -> Iterator[tuple[ast.expr, str]]:
    if module is None or names is None:
        return
    for node in ast.walk(module):
        if isinstance(node, (ast.Call, ast.Name, ast.Attribute, ast.Subscript)) and (
            why := rules(node, names, in_test)
        ):
            yield node, why


def _dangerous(node: ast.expr, names: Names, in_test: bool) -> str:
    if isinstance(node, ast.Call):
        return _of(names.full(node)) or _dangerous_call(node, names, in_test)
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return ""
    if isinstance(node, ast.Attribute) and node.attr in {"system", "popen", "execve"} and _of_libc(node.value, names):
        return f"{node.attr} of the C library runs a program"
    return _of(names.full(node))


def _of(name: str) -> str:
    for other, usual in _SAME:
        if name.startswith(other):
            name = usual + name.removeprefix(other)
    return _RUNS_TEXT.get(name, "")


def _of_libc(node: ast.expr, names: Names) -> bool:
    return isinstance(node, ast.Call) and names.full(node.func).startswith("ctypes.")


def _dangerous_call(call: ast.Call, names: Names, in_test: bool) -> str:
    name, given = names.full(call.func), {word.arg: word.value for word in call.keywords}
    if name.startswith(_STARTS) or name == "functools.partial":
        return _runs_a_shell(name, call, given, names) or ("" if in_test else _gives_program(name, call, names))
    if name in {"yaml.load", "yaml.load_all"}:
        loader = given.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
        if loader is None or names.full(loader) not in _LOADERS:
            return f"{name} without SafeLoader runs what it reads"
    if name in {"types.FunctionType", "types.CodeType"}:  # called: to ask for the type is nothing
        return f"{name} makes code"
    if name == "torch.load" and not _is(given.get("weights_only"), True):
        return "torch.load is pickle"
    if name == "numpy.load" and "allow_pickle" in given and not _is(given["allow_pickle"], False):
        return "numpy.load with allow_pickle runs what it reads"
    if name == "__import__" and call.args and names.text(call.args[0]) is None:
        return "__import__ of a name that is made at run time"
    if name == "getattr" and len(call.args) > 1 and names.text(call.args[1]) is None:
        inner = names.full(call.args[0])
        return f"something of {inner} by a name that is made at run time" if inner in _OF_ALL_KINDS else ""
    if name in {"operator.attrgetter", "operator.methodcaller"} and call.args:
        wanted = names.text(call.args[0]) or ""
        return f"{wanted} by its name" if wanted.rsplit(".", 1)[-1] in {"system", "popen", "eval", "exec"} else ""
    return ""


def _runs_a_shell(name: str, call: ast.Call, given: Mapping[str | None, ast.expr], names: Names) -> str:
    """``shell=`` that is not false, in the call, in a partial of it, or in its ``**``."""
    started = names.full(call.args[0]) if name == "functools.partial" and call.args else name
    shell = given.get("shell")
    if shell is None and None in given:
        shell = names.entry(given[None], "shell")
    return f"{started} runs a shell" if started.startswith("subprocess.") and shell and not _is(shell, False) else ""


def _gives_program(name: str, call: ast.Call, names: Names) -> str:
    """A shell or Python with ``-c`` and a text that is made at run time. Tests and their servers do that all day."""
    for words in [call.args, *(part.elts for part in call.args if isinstance(part, ast.List | ast.Tuple))]:
        for program, option, text in zip(words, words[1:], words[2:], strict=False):
            first = (names.text(program) or names.full(program)).rsplit("/", 1)[-1]
            if names.text(option) in {"-c", "/c"} and names.text(text) is None:
                if first in _SHELLS:
                    return f"{name} gives {first} a command line"
                if first in _PYTHONS:
                    return f"{name} gives Python text as code"
    return ""


def _weak(node: ast.expr, names: Names, _in_test: bool) -> str:
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
        return "SQL is put together from text (B608)" if _made_sql(node.args[0], names) else ""
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


def _made_sql(node: ast.expr, names: Names) -> bool:
    """An f-string, a sum, a ``%`` or a ``.format`` whose first words are SQL and which takes in what is no constant."""

    def taken_in(value: ast.expr) -> bool:
        return not (names.written(value) or _is_name_of_ours(value))

    if isinstance(node, ast.JoinedStr):
        first = node.values[0] if node.values else None
        made = any(isinstance(value, ast.FormattedValue) and taken_in(value.value) for value in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        first = node.left
        while isinstance(first, ast.BinOp):
            first = first.left
        made = not isinstance(node.right, ast.Constant) and taken_in(node.right)
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
