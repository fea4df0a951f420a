"""``moorage template draft …``: texts on their way into force."""

from __future__ import annotations

from typing import Any

from cli import lookup, terminal
from cli.call import Call, ago, leaf, read_file
from cli.progress import mapping


def add_to(group: Any) -> None:
    """The verbs of a draft."""
    leaf(group, "list", list_, "All drafts.")
    leaf(group, "show", show, "A draft's text.", "template")
    saved = leaf(group, "save", save, "Keep a text as the draft, right or wrong.", "template")
    saved.add_argument("file", metavar="FILE", help="the text; - for stdin")
    saved.add_argument("--revision", type=int, metavar="N", help="refuse where another revision than N stands by now")
    leaf(group, "publish", publish, "Put a draft into force.", "template")
    leaf(group, "discard", discard, "Forget a draft.", "template")


def list_(call: Call) -> int:
    return call.table(
        list(call.api.rows("template-drafts/")),
        (
            ("NAME", lambda entry: entry.get("name")),
            ("REVISION", lambda entry: entry.get("revision")),
            ("BY", lambda entry: entry.get("edited_by")),
            ("AGE", lambda entry: ago(entry.get("edited_at"))),
        ),
    )


def show(call: Call) -> int:
    document = mapping(call.api.get(_path(call)))
    return call.answer(document, terminal.clean_lines(str(document.get("text", "")).rstrip("\n")))


def save(call: Call) -> int:
    body: dict[str, Any] = {"text": read_file(call.given.file)}
    if call.given.revision is not None:
        body["revision"] = call.given.revision
    document = mapping(call.api.put(_path(call), body))
    return call.answer(document, [terminal.clean(f"{document.get('name')}: revision {document.get('revision')}")])


def publish(call: Call) -> int:
    document = mapping(call.api.post(f"{_path(call)}publish/"))
    return call.answer(document, [terminal.clean(f"{document.get('name')} {document.get('version')} is in force.")])


def discard(call: Call) -> int:
    call.api.delete(_path(call))
    return call.answer({"name": call.given.template}, [f"The draft of {call.given.template} is gone."])


def _path(call: Call) -> str:
    return f"templates/{lookup.segment(call.given.template)}/draft/"
