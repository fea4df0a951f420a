"""``moorage template …``: what berths look like, where each value comes from, and changing it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cli import lookup, template_drafts, terminal
from cli.call import Call, branch, leaf, read_file
from cli.failures import OPERATION_FAILED, Failure, Misused, Refused
from cli.progress import mapping

WHATEVER = "-"  # the name that says: whichever the text holds


def add_to(group: Any) -> None:
    """The verbs of a template."""
    leaf(group, "list", list_, "All templates.", limit=True)
    leaf(group, "show", show, "A template as it was written.", "template")
    explained = leaf(group, "explain", explain, "Who set each value, and over what.", "template")
    explained.add_argument("path", nargs="?", default="", metavar="PATH", help="only this and what is beneath it")
    with_values = leaf(group, "resolve", resolve, "A template as a berth would get it.", "template")
    with_values.add_argument(
        "--set", dest="values", action="append", type=_pair, default=[], metavar="NAME=VALUE",
        help="a variable's value; @FILE reads it from a file, which keeps it out of the list of processes",
    )  # fmt: skip
    resolved = leaf(group, "resolved", resolved_, "A template with all its layers applied.", "template")
    resolved.add_argument("--explain", action="store_true", help="say of each value which layer it comes from")
    compared = leaf(group, "diff", diff, "What differs between two templates, or versions: NAME or NAME@DIGEST.")
    compared.add_argument("before", metavar="A", help="a template, or NAME@DIGEST")
    compared.add_argument("after", metavar="B", help="a template, or NAME@DIGEST")
    checked = leaf(group, "validate", validate, "Check files: every error as FILE:LINE:COLUMN, with a hint.")
    checked.add_argument(
        "files", nargs="+", metavar="FILE", help="a template; - for stdin. Several may need each other"
    )
    put = leaf(group, "publish", publish, "Put a template, or a new version of one, into force.")
    put.add_argument("file", metavar="FILE", help="the template; - for stdin")
    taken = leaf(group, "export", export, "A template's text.", "template")
    taken.add_argument("-o", "--output", metavar="FILE", help="write it there, else to stdout")
    brought = leaf(group, "import", import_, "Make a draft of a devcontainer.json; what is left out is listed.")
    brought.add_argument("file", metavar="FILE", help="the devcontainer.json; - for stdin")
    brought.add_argument("--name", default="", help="the template's name; else made of the one in the file")
    brought.add_argument("--extends", default="base", metavar="NAME", help="the template beneath it (base)")
    leaf(group, "versions", versions, "Every version that was in force, newest first.", "template")
    back = leaf(group, "return", return_, "Put an earlier version into force again.", "template")
    back.add_argument("digest", metavar="DIGEST", help="the version's digest, or its first eight letters")
    old = leaf(group, "deprecate", deprecate, "Say that nothing new should use it. It works on.", "template")
    old.add_argument("--reason", default="", help="why")
    old.add_argument("--instead", default="", metavar="NAME", help="what to use instead")
    leaf(group, "restore", restore, "Take a deprecation back.", "template")
    leaf(group, "dependents", dependents, "The templates that build on it.", "template")
    leaf(group, "agents", agents, "The agents that wear it, and what each lacks of it.", "template")
    template_drafts.add_to(branch(group, "draft", "Texts on their way into force."))


def list_(call: Call) -> int:
    return call.table(
        list(call.api.rows("templates/", limit=call.given.limit)),
        (
            ("NAME", lambda entry: entry.get("name")),
            ("VERSION", lambda entry: entry.get("version")),
            ("EXTENDS", lambda entry: ", ".join(map(str, entry.get("extends") or ()))),
            ("FROM", lambda entry: mapping(entry.get("state")).get("source") or ""),
            ("", lambda entry: ", ".join(_badges(entry))),
            ("DESCRIPTION", lambda entry: entry.get("description")),
        ),
    )


def _badges(entry: dict[str, Any]) -> list[str]:
    state = mapping(entry.get("state"))
    said = {"abstract": entry.get("abstract"), "deprecated": state.get("deprecated"),
            "change refused": state.get("refused"), "draft": state.get("has_draft")}  # fmt: skip
    return [word for word, true in said.items() if true]


def show(call: Call) -> int:
    document = mapping(call.api.get(_path(call)))
    state = mapping(document.get("state"))
    if refused := mapping(state.get("refused")):
        terminal.complain(["The last change was refused; this one stays in force:", *_located(refused.get("errors"))])
    if deprecated := mapping(state.get("deprecated")):
        instead = f" Use {deprecated.get('replaced_by')}." if deprecated.get("replaced_by") else ""
        terminal.complain([f"Deprecated: {deprecated.get('reason') or 'no reason was given'}.{instead}"])
    text = document.get("text")
    if isinstance(text, str):
        return call.answer(document, terminal.clean_lines(text.rstrip("\n")))
    return call.answer(document, [terminal.as_json(document)])


def explain(call: Call) -> int:
    document = mapping(call.api.get(f"{_path(call)}resolved/", explain=1, path=call.given.path or None))
    entries = [entry for entry in document.get("provenance") or () if isinstance(entry, dict)]
    if not entries:
        raise Refused(f"There is nothing at {call.given.path!r} in {call.given.template}.",
                      "`moorage template resolved NAME` shows all there is.")  # fmt: skip
    if call.as_json:
        return call.answer(entries)
    rows = [
        (entry.get("path"), _short(entry.get("value")), entry.get("how"), _place(entry),
         "; ".join(f"{_short(old.get('value'))} ({_place(old)})" for old in entry.get("shadowed") or ()))
        for entry in entries
    ]  # fmt: skip
    return call.answer(entries, terminal.table(("PATH", "VALUE", "HOW", "SET BY", "OVER"), rows, width=call.width))


def resolve(call: Call) -> int:
    body = {"variables": dict(call.given.values)}
    document = mapping(call.api.post(f"{_path(call)}resolved/", body))
    return call.answer(document, [terminal.as_json(document.get("spec"))])


def resolved_(call: Call) -> int:
    document = call.api.get(f"{_path(call)}resolved/", explain=1 if call.given.explain else None)
    return call.answer(document, [terminal.as_json(document)])


def diff(call: Call) -> int:
    name, _, digest = call.given.before.partition("@")
    path = f"templates/{lookup.segment(name)}/diff/"
    document = mapping(call.api.get(path, to=call.given.after, version=digest or None))
    found = [one for one in document.get("differences") or () if isinstance(one, dict)]
    lines = [f"--- {document.get('before')}", f"+++ {document.get('after')}", *(_difference(one) for one in found)]
    return call.answer(document, map(terminal.clean, lines if found else ["No difference in what they resolve to."]))


def _difference(one: dict[str, Any]) -> str:
    old = "" if one.get("kind") == "added" else _short(one.get("old"))
    new = "" if one.get("kind") == "removed" else _short(one.get("new"))
    live = "  (live)" if one.get("live") else ""
    return f"{one.get('path')}: {old or '(nothing)'} → {new or '(nothing)'}{live}"


def validate(call: Call) -> int:
    texts = {file: read_file(file) for file in call.given.files}
    verdicts: list[dict[str, Any]] = []
    for file, text in texts.items():
        beside = [other for name, other in texts.items() if name != file]
        try:
            answer = mapping(call.api.post(f"templates/{WHATEVER}/validate/", {"text": text, "beside": beside}))
            verdicts.append({"file": file, **answer})
        except Refused as refused:
            if not refused.errors:
                raise
            verdicts.append({"file": file, "valid": False, "errors": [dict(error) for error in refused.errors]})
    for verdict in verdicts:
        lines = _located(verdict.get("errors"), file=verdict["file"])
        lines += [f"{line} (warning)" for line in _located(verdict.get("warnings"), file=verdict["file"])]
        terminal.complain(lines)
    sound = [f"{one['file']}: {one.get('name')} is sound" for one in verdicts if one.get("valid")]
    code = call.answer(verdicts, map(terminal.clean, sound))
    return code if len(sound) == len(verdicts) else OPERATION_FAILED


def _located(errors: Any, *, file: str = "") -> list[str]:
    """``FILE:LINE:COLUMN: path: what is wrong [code] (hint)``, one line per error.

    An error in another template than the one in the file names that one.
    """
    lines = []
    for error in errors if isinstance(errors, list) else ():
        if not isinstance(error, dict):
            continue
        said = str(error.get("file") or "")
        where = file if file and said in ("", "template.yaml") else said
        place = f"{where}:{error.get('line') or 0}:{error.get('column') or 0}"
        path = error.get("path") or str(error.get("pointer") or "").strip("/").replace("/", ".")
        hint = f" ({error['hint']})" if error.get("hint") else ""
        words = error.get("detail") or error.get("message")
        lines.append(terminal.clean(f"{place}: {f'{path}: ' if path else ''}{words} [{error.get('code')}]{hint}"))
    return lines


def publish(call: Call) -> int:
    try:
        document = mapping(call.api.post("templates/", {"text": read_file(call.given.file)}))
    except Refused as refused:
        raise _with_places(refused, call.given.file) from refused
    return call.answer(document, [terminal.clean(f"{document.get('name')} {document.get('version')} is in force.")])


def _with_places(refused: Refused, file: str) -> Failure:
    places = _located([error for error in refused.errors if error.get("line")], file=file)
    return Refused(refused.lines[0].partition(":")[0] + ": not published.", *places) if places else refused


def export(call: Call) -> int:
    _, text = call.api.text(f"{_path(call)}export/")
    if not call.given.output:
        return call.answer({"name": call.given.template, "text": text}, terminal.clean_lines(text.rstrip("\n")))
    try:
        Path(call.given.output).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Misused(f"{call.given.output} cannot be written: {error.strerror}.") from error
    return call.answer({"name": call.given.template, "file": call.given.output}, [call.given.output])


def import_(call: Call) -> int:
    body = {"text": read_file(call.given.file), "name": call.given.name, "extends": call.given.extends}
    document = mapping(call.api.post(f"templates/{WHATEVER}/import/", body))
    lines = [f"A draft of {document.get('name')} was made. `moorage template draft publish {document.get('name')}` "
             "puts it into force."]  # fmt: skip
    lines += [f"left out: {one.get('field')}: {one.get('reason')}" for one in document.get("left_out") or ()]
    return call.answer(document, map(terminal.clean, lines))


def versions(call: Call) -> int:
    return call.table(
        list(call.api.rows(f"{_path(call)}versions/")),
        (
            ("VERSION", lambda entry: entry.get("version")),
            ("DIGEST", lambda entry: str(entry.get("digest"))[:12]),
            ("SINCE", lambda entry: entry.get("created_at")),
            ("BY", lambda entry: entry.get("created_by")),
            ("", lambda entry: "in force" if entry.get("current") else ""),
        ),
    )


def return_(call: Call) -> int:
    document = mapping(call.api.post(f"{_path(call)}versions/{lookup.segment(call.given.digest)}/activate/"))
    return call.answer(document, [terminal.clean(f"{document.get('name')} {document.get('version')} is in force.")])


def deprecate(call: Call) -> int:
    body = {"reason": call.given.reason, "replaced_by": call.given.instead}
    return call.answer(call.api.post(f"{_path(call)}deprecate/", body), [f"{call.given.template} is deprecated."])


def restore(call: Call) -> int:
    return call.answer(call.api.post(f"{_path(call)}restore/"), [f"{call.given.template} is not deprecated any more."])


def dependents(call: Call) -> int:
    return call.table(
        list(call.api.rows(f"{_path(call)}dependents/")),
        (
            ("NAME", lambda entry: entry.get("name")),
            ("VERSION", lambda entry: entry.get("version")),
            ("EXTENDS", lambda entry: ", ".join(map(str, entry.get("extends") or ()))),
        ),
    )


def agents(call: Call) -> int:
    found = list(call.api.rows(f"{_path(call)}agents/"))
    lines = terminal.table(
        ("NAME", "STATE", "WEARS", ""),
        [(one.get("name"), one.get("state"), one.get("version"), "outdated" if one.get("outdated") else "")
         for one in found],
        width=call.width,
    )  # fmt: skip
    lacking = (f"{one.get('name')} lacks {_difference(each)}" for one in found for each in one.get("differences") or ())
    return call.answer(found, [*lines, *map(terminal.clean, lacking)])


def _path(call: Call) -> str:
    return f"templates/{lookup.segment(call.given.template)}/"


def _place(entry: dict[str, Any]) -> str:
    line = f":{entry['line']}" if entry.get("line") else ""
    return f"{entry.get('template')} {entry.get('version')}{line}"


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` or ``NAME=@FILE``, for argparse."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, read_file(value[1:]).rstrip("\n") if value.startswith("@") else value
    except Misused as error:
        raise argparse.ArgumentTypeError(str(error)) from error
