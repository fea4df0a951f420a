"""What the repository says about a requirement: its own instructions, the files that matter, and their outline.

Files are shortlisted by BM25 over names and words, after those that the requirement mentions; no model is asked.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from agents.engines.protocol import EditRefused, Task, Workbench
from agents.roles.prompts import Trust, fenced
from resources.files import PathEscapes, PathSpecial, PathTooBig

INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md", ".github/copilot-instructions.md", "CONTRIBUTING.md")
MAX_INSTRUCTIONS_CHARS = 8_000
OUTLINE_FORM = 1
SHORTLIST = 12
OUTLINED = 5
_MAX_FILES, _MAX_BYTES = 1500, 60_000
_K1, _B = 1.2, 0.75  # the usual ones: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009
_NAME_COUNTS = 5  # a word in a file's name says as much as five in its text
_TEXT = frozenset({".py", ".js", ".ts", ".go", ".rs", ".java", ".rb", ".c", ".cc", ".h", ".cs", ".php", ".sh", ".md",
                   ".toml", ".cfg", ".ini", ".yaml", ".yml", ".html", ".css", ".sql"})  # fmt: skip
_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]+(?![a-z])|[a-z]+|\d{2,}")


Outlines = Callable[[Sequence[str]], Sequence[str]]  # of the texts of Python files


def survey(task: Task, bench: Workbench, *, outlines: Outlines | None = None) -> str:
    """One fenced text for planner and coder; empty for an empty repository.

    ``outlines`` says what :func:`outline` says of each text: for those who know it already.
    """
    paths = list(bench.files())
    parts = [*_instructions(paths, bench)]
    short = shortlist(task.requirements, paths, bench)
    if short:
        shown = short[:OUTLINED]
        texts = {path: _read(path, bench, _MAX_BYTES * 4) for path in shown if path.endswith(".py")}
        found = dict(zip(texts, (outlines or _outlined)(list(texts.values())), strict=True))
        listed = "\n".join([*(f"{path}\n{found.get(path, '')}".rstrip() for path in shown), *short[OUTLINED:]])
        parts.append(fenced("Files that seem to matter, with their outline", listed, trust=Trust.REPOSITORY))
    return "\n\n".join(parts)


def _instructions(paths: Sequence[str], bench: Workbench) -> list[str]:
    """The repository's own rules: wishes of lower trust, which change nothing of ours."""
    there = set(paths)
    found = []
    for path in INSTRUCTIONS:
        text = _read(path, bench, MAX_INSTRUCTIONS_CHARS * 4) if path in there else ""
        if text:
            title = f"{path}: how this repository wants to be worked on, where it does not contradict the rules"
            found.append(fenced(title, text, trust=Trust.REPOSITORY_PROSE, limit=MAX_INSTRUCTIONS_CHARS))
    return found


def shortlist(requirement: str, paths: Sequence[str], bench: Workbench) -> list[str]:
    """The files that a requirement is likely about, the likeliest first."""
    named = [path for path in paths if _mentioned(path, requirement)]
    wanted = set(_words(requirement))
    documents = {
        path: Counter(_words(_read(path, bench, _MAX_BYTES))) + Counter(dict.fromkeys(_words(path), _NAME_COUNTS))
        for path in [path for path in paths if PurePosixPath(path).suffix in _TEXT][:_MAX_FILES]
    }
    scored = _bm25(wanted, documents)
    ranked = [path for score, path in sorted((-score, path) for path, score in scored.items() if score > 0)]
    return list(dict.fromkeys([*named, *ranked]))[:SHORTLIST]


def _outlined(texts: Sequence[str]) -> list[str]:
    return [outline(text) for text in texts]


def outline(text: str) -> str:
    """Classes and functions of a Python file with their lines; empty where it cannot be parsed.

    Who changes what it says of a text counts :data:`OUTLINE_FORM` up: outlines are kept.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    lines: list[str] = []
    for node in tree.body:
        lines += _symbol(node, "  ")
    return "\n".join(lines[:60])


def _symbol(node: ast.stmt, indent: str) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        names = ", ".join(argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        return [f"{indent}{node.lineno}: def {node.name}({names})"]
    if isinstance(node, ast.ClassDef):
        inner = [line for child in node.body for line in _symbol(child, indent + "  ")]
        return [f"{indent}{node.lineno}: class {node.name}", *inner]
    return []


def _mentioned(path: str, requirement: str) -> bool:
    """By its path, its name, or as a module with dots."""
    pure = PurePosixPath(path)
    module = ".".join(pure.with_suffix("").parts)
    names = [path, *([pure.name] if len(pure.stem) > 3 else []), *([module] if "." in module else [])]
    return any(re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w-])", requirement) for name in names)


def _bm25(wanted: set[str], documents: dict[str, Counter[str]]) -> dict[str, float]:
    if not documents:
        return {}
    lengths = {path: sum(words.values()) for path, words in documents.items()}
    usual = max(sum(lengths.values()) / len(lengths), 1.0)
    rarity = {}
    for word in wanted:
        holding = sum(word in words for words in documents.values())
        rarity[word] = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
    return {
        path: sum(
            rarity[word] * words[word] * (_K1 + 1)
            / (words[word] + _K1 * (1 - _B + _B * lengths[path] / usual))
            for word in wanted
            if word in words
        )
        for path, words in documents.items()
    }  # fmt: skip


def _words(text: str) -> list[str]:
    """Words and the parts of names: ``parseHTTPDate_utc`` is parse, http, date and utc."""
    return [word.lower() for word in _WORD.findall(text) if len(word) > 2]


def _read(path: str, bench: Workbench, limit_bytes: int) -> str:
    try:
        return bench.read(path, limit_bytes=limit_bytes).decode("utf-8", "replace")
    except (EditRefused, PathTooBig, PathEscapes, PathSpecial, OSError):
        return ""  # too big, or gone or swapped since it was listed
