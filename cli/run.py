"""``moorage run``: hand a requirement in, and follow it."""

from __future__ import annotations

import sys
import uuid
from typing import Any

from cli import lookup, operations
from cli.call import Call, leaf, metadata, positive, read_file
from cli.failures import Misused
from cli.progress import mapping
from cli.terminal import clean, complain

SIZES = {
    "memory_mb": "memory of the berth; the template's where it is not given, as far as that grants",
    "cpu_millis": "processor of the berth, in thousandths of a core",
    "disk_mb": "disk of the berth's workspace",
}
ENGINES = "auto, llm, repair, patch, codemod, external, replay"


def add_to(group: Any) -> None:
    """The command and its options. Which values are right is the server's to say: it may be the newer one."""
    parser = leaf(group, "run", run, "Hand a requirement in and watch the work to its end.")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the requirement; without it and -f, stdin is read")
    parser.add_argument("-p", "--project", required=True, help="name, id or beginning of the id of the project")
    parser.add_argument("-f", "--file", metavar="FILE", help="read the requirement from a file (- for stdin)")
    parser.add_argument("--engine", help=f"who writes the code: {ENGINES}")
    parser.add_argument("--template", help="the template of the berth; the project's where it is not given")
    for name, words in SIZES.items():
        metavar = name.rpartition("_")[2].upper()
        parser.add_argument(f"--{name.replace('_', '-')}", type=positive, metavar=metavar, help=words)
    parser.add_argument("--capability", help="code_review, testing, development, documentation or deployment")
    parser.add_argument("--priority", help="low, normal or high")
    parser.add_argument("--approval", help="wait for a person: none, plan or pull_request")
    parser.add_argument("--metadata", type=metadata, metavar="JSON", help="a JSON object, or @FILE that holds one")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key never starts the work twice")
    follow = parser.add_mutually_exclusive_group()
    follow.add_argument("--watch", dest="detach", action="store_false", help="follow it to its end (the default)")
    follow.add_argument("--detach", action="store_true", help="print the operation and return")
    operations.add_patience(parser)


def run(call: Call) -> int:
    """Submit once, even if the line breaks in between; then watch, unless told otherwise."""
    given = call.given
    requirement = _requirement(call)
    body: dict[str, Any] = {
        "type": "coding",
        "project_id": lookup.id_of(call.api, "projects", given.project),
        "requirements": requirement,
    }
    for name in ("engine", "template", "capability", "priority", "approval", "metadata"):
        if getattr(given, name) is not None:
            body[name] = getattr(given, name)
    if size := {name: getattr(given, name) for name in SIZES if getattr(given, name) is not None}:
        body["size"] = size
    operation = mapping(call.api.post("operations/", body, key=_key(given.idempotency_key)))
    identity = lookup.answered_id(operation)
    if given.detach:
        return call.answer(operation, [identity])
    complain([f"Operation {clean(identity)}"])
    return operations.follow(call, identity)


def _key(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not given or not given.isascii() or not given.isprintable() or len(given) > 200:
        raise Misused("An idempotency key is 1 to 200 printable ASCII characters.")
    return given


def _requirement(call: Call) -> str:
    given = call.given
    if given.text is not None and given.file is not None:
        raise Misused("The requirement is given twice: as text, and by -f.")
    if given.text is None and given.file is None and sys.stdin.isatty():
        raise Misused("Give the requirement as text, by -f FILE, or on stdin.")
    text = given.text if given.text is not None else read_file(given.file or "-")
    if not text.strip():
        raise Misused("The requirement is empty.")
    return str(text)
