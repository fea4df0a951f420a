"""The coder's tools on the workbench. Every output is capped; a refusal is a text for the model, not an
end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from agents.engines import edits, texts
from agents.engines.paths import jail
from agents.engines.protocol import EditRefused, Workbench
from agents.model_answers import Call
from agents.roles import parsing
from agents.roles.prompts import marked
from agents.roles.steady import steady
from events.faults import Fault, FaultClass
from resources.files import PathEscapes, PathSpecial, PathTooBig

MAX_OUTPUT_CHARS = 12_000
MAX_HITS = 60
MAX_SEARCHED_BYTES = 400_000
RUN_TIMEOUT_S = 120.0


class ListFiles(BaseModel):
    """List files whose path starts with a prefix."""

    prefix: str = ""


class ReadFile(BaseModel):
    """Read lines of a file; they come numbered. The number and the bar are not part of the file."""

    path: str
    start: int = Field(default=1, ge=1)
    lines: int = Field(default=250, ge=1, le=1000)


class SearchText(BaseModel):
    """Find lines that contain a plain text (no pattern)."""

    text: str = Field(min_length=2, max_length=300)
    prefix: str = Field(default="", description="search only in paths that start so")


class OneEdit(BaseModel):
    """Replace whole lines that stand exactly once in a file; an empty search creates a new file."""

    path: str
    search: str
    replace: str


class EditFiles(BaseModel):
    """Apply edits, all or none. Copy the search lines exactly, with enough neighbours to be unique."""

    edits: list[OneEdit] = Field(min_length=1, max_length=40)


class DeleteFile(BaseModel):
    """Delete a file."""

    path: str


class RunCommand(BaseModel):
    """Run a program in the sandbox, as a list of arguments; there is no shell and no network."""

    argv: list[str] = Field(min_length=1, max_length=100)


class Done(BaseModel):
    """Say that the work is finished, with a summary of the change in a few sentences."""

    summary: str = Field(min_length=1, max_length=4000)


TOOLS: tuple[type[BaseModel], ...] = (
    ListFiles,
    ReadFile,
    SearchText,
    EditFiles,
    DeleteFile,
    RunCommand,
    Done,
)


class Toolbox:
    """Executes calls; ``edited`` counts the calls that changed files."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.edited = 0
        self._tools: dict[str, tuple[type[BaseModel], Callable[[Any], str]]] = {
            "ListFiles": (ListFiles, self.list_files),
            "ReadFile": (ReadFile, self.read_file),
            "SearchText": (SearchText, self.search_text),
            "EditFiles": (EditFiles, self.edit_files),
            "DeleteFile": (DeleteFile, self.delete_file),
            "RunCommand": (RunCommand, self.run_command),
        }

    def use(self, call: Call) -> str:
        """The capped text of one call. Faults about the input become text; faults of the house go up."""
        if call.name not in self._tools:
            return f"There is no tool {call.name[:60]!r}; there are {', '.join(self._tools)} and Done."
        schema, tool = self._tools[call.name]
        try:
            said = tool(schema.model_validate(call.arguments))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            said = f"Refused, the arguments are wrong: {wrong}"
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            said = "Refused: there is no such file."
        except Fault as fault:
            if fault.fault_class is not FaultClass.PERMANENT and not isinstance(fault, PathTooBig):
                raise
            said = f"Refused, nothing was written: {fault.detail} {fault.remedy_text}"
            if state := fault.facts.get("hash"):
                said += f" The file's hash is {state} now."
        return _capped(said)

    def list_files(self, wanted: ListFiles) -> str:
        found = [path for path in self.bench.files() if path.startswith(wanted.prefix)]
        return "\n".join(found[:500]) + (f"\n… {len(found) - 500} more" if len(found) > 500 else "") or "none"

    def read_file(self, wanted: ReadFile) -> str:
        text = texts.decode(wanted.path, self.bench.read(jail(wanted.path)))
        shown = text.contents[wanted.start - 1 : wanted.start - 1 + wanted.lines]
        body = "\n".join(f"{number:5}|{marked(line)}" for number, line in enumerate(shown, start=wanted.start))
        return f"{wanted.path}, {len(text.lines)} lines:\n{body}"

    def search_text(self, wanted: SearchText) -> str:
        hits: list[str] = []
        for path in self.bench.files():
            if path.startswith(wanted.prefix) and len(hits) < MAX_HITS:
                hits += self._hits(path, wanted.text)
        return "\n".join(hits[:MAX_HITS]) or "no line contains it"

    def _hits(self, path: str, wanted: str) -> list[str]:
        try:
            data = self.bench.read(path, limit_bytes=MAX_SEARCHED_BYTES)
            if wanted.encode("utf-8", "replace") not in data:
                return []
            lines = texts.decode(path, data).contents
        except (EditRefused, PathTooBig, PathEscapes, PathSpecial, FileNotFoundError):
            return []  # binary, too big, or gone or swapped since it was listed
        found = [(at, line) for at, line in enumerate(lines, start=1) if wanted in line]
        return [f"{path}:{at}: {marked(line.strip())[:200]}" for at, line in found[:MAX_HITS]]

    def edit_files(self, wanted: EditFiles) -> str:
        computed = edits.compute([edits.Edit(e.path, e.search, e.replace) for e in wanted.edits], self.bench)
        for path, content in computed.items():
            parsing.check(path, before=edits.current(self.bench, path), after=content)
        changed = edits.write(computed, self.bench)
        for path in changed:
            self.bench.say(f"edited {path}")
        self.edited += bool(changed)
        return f"Changed: {', '.join(changed)}." if changed else "Nothing changed: the replacement is what is there."

    def delete_file(self, wanted: DeleteFile) -> str:
        path = jail(wanted.path)
        self.bench.delete(path)
        self.bench.say(f"deleted {path}")
        self.edited += 1
        return f"Deleted {path}."

    def run_command(self, wanted: RunCommand) -> str:
        if any("\0" in argument for argument in wanted.argv):
            return "Refused: an argument holds a NUL."
        outcome = self.bench.run(wanted.argv, timeout_s=RUN_TIMEOUT_S)
        ended = "stopped at the time limit" if outcome.timed_out else f"exit code {outcome.exit_code}"
        self.bench.say(f"ran {wanted.argv[0][:80]}: {ended}")
        return f"{ended}\n{marked(steady(outcome.text(MAX_OUTPUT_CHARS - 200)))}"


def _capped(text: str) -> str:
    if len(text) <= MAX_OUTPUT_CHARS:
        return text
    half = MAX_OUTPUT_CHARS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters cut …]\n{text[-half:]}"
