"""The program: arguments in, exit code out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cli import (
    __version__,
    access,
    agents,
    attach,
    doctor,
    failures,
    fleet,
    inventory,
    login,
    operations,
    projects,
    run,
    templates,
    terminal,
)
from cli.call import Call, branch, leaf
from cli.client import Api

EPILOG = """\
Server and token come from MOORAGE_URL and MOORAGE_TOKEN, else from `moorage login`.
Exit codes: 0 fine, 1 the operation failed (or something is not well), 2 wrong use, 3 refused by the server,
4 server out of reach or broken, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Every command and option."""
    whole = argparse.ArgumentParser(
        prog="moorage",
        description="The command-line client of Moorage: requirements in, tested branches out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"moorage {__version__}")
    whole.add_argument("--json", action="store_true", help="print JSON; every command takes it, here or at its end")
    group = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    leaf(group, "login", _no_call, "Keep a server's URL and a token.").add_argument(
        "--url", help="the server's URL; asked for where it is not given"
    )
    run.add_to(group)
    operations.add_to(branch(group, "operation", "Look at requested work, and steer it."))
    projects.add_to(branch(group, "project", "The repositories that work is done on."))
    agents.add_to(branch(group, "agent", "Who works, where, and how they are."))
    attach.add_to(group)
    templates.add_to(branch(group, "template", "What berths look like."))
    leaf(
        branch(group, "host", "The machines that lend berths."),
        "list",
        inventory.hosts,
        "All hosts.",
        limit=True,
    )
    fleet.add_to(branch(group, "fleet", "Hold everything up, and let it go on."))
    leaf(branch(group, "queue", "The queues of work."), "list", inventory.queues, "All queues.", limit=True)
    leaf(group, "doctor", doctor.doctor, "Is the server well, part by part?")
    return whole


def _no_call(_call: Call) -> int:
    raise AssertionError("login runs before there is a server to call")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every expected end becomes lines on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without UTF-8 still gets the words
    try:
        given = parser().parse_args(_readable(sys.argv[1:] if argv is None else argv))
        code = _dispatch(given)
        sys.stdout.flush()
    except failures.Failure as failure:
        terminal.complain(f"{'moorage: ' if at == 0 else ''}{line}" for at, line in enumerate(failure.lines))
        return failure.exit_code
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except RecursionError:  # out of the JSON encoder, on a document that the decoder just took
        terminal.complain(["moorage: The server's answer is nested too deeply. Is this the URL of Moorage?"])
        return failures.UNREACHABLE
    except BrokenPipeError:
        # The reader is gone; without this, Python complains once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failures.PIPE_CLOSED
    return code


def _readable(argv: Sequence[str]) -> Sequence[str]:
    """The arguments, if they are text: Python hands bytes that are not UTF-8 on as lone surrogates."""
    for argument in argv:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise failures.Misused(f"An argument is not text in UTF-8: {argument}")
    return argv


def _dispatch(given: argparse.Namespace) -> int:
    if given.handler is _no_call:
        return login.login(given, os.environ)
    with Api(access.find(os.environ)) as api:
        return int(given.handler(Call(given, api)))


if __name__ == "__main__":
    sys.exit(main())
