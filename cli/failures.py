"""How a command ends when it cannot do what it was asked: the exit code, and the lines for stderr."""

from __future__ import annotations

from typing import Any, ClassVar

OK = 0
OPERATION_FAILED = 1
USAGE = 2
REFUSED = 3
UNREACHABLE = 4
INTERRUPTED = 130
PIPE_CLOSED = 141  # what a shell says for SIGPIPE


class Failure(Exception):
    """An expected end. ``lines`` go to stderr, sanitised by whoever prints them."""

    exit_code: ClassVar[int] = OPERATION_FAILED

    def __init__(self, detail: str, *more: str) -> None:
        super().__init__(detail)
        self.lines = (detail, *more)


class Misused(Failure):
    """The command line, the environment or the stored configuration cannot be used."""

    exit_code = USAGE


class Refused(Failure):
    """The server understood and said no (4xx), or knows nothing by that name."""

    exit_code = REFUSED

    def __init__(self, detail: str, *more: str, status: int = 0, errors: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(detail, *more)
        self.status = status
        self.errors = errors  # as the server listed them


class Unreachable(Failure):
    """The server does not answer, breaks (5xx), or is not Moorage."""

    exit_code = UNREACHABLE

    def __init__(self, detail: str, *more: str, status: int = 0) -> None:
        super().__init__(detail, *more)
        self.status = status


def from_problem(status: int, document: Any, *, where: str) -> Refused | Unreachable:
    """The failure that a 4xx or 5xx answer means; ``document`` is its JSON, or None where it had none."""
    kind = Refused if 400 <= status < 500 else Unreachable
    if not isinstance(document, dict) or not ("detail" in document or "code" in document):
        return kind(f"HTTP {status} from {where}, without a word why. Is this the URL of Moorage?", status=status)
    code, detail = (
        str(document.get("code") or f"http.{status}"),
        str(document.get("detail") or "No detail was given."),
    )
    more = []
    errors = document.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            more.append(f"  {error.get('pointer') or '/'}: {error.get('detail')} ({error.get('code')})")
    if document.get("remedy"):
        more.append(f"  What helps: {document['remedy']}")
    if status == 401:
        more.append("  What helps: `moorage login`, or a valid MOORAGE_TOKEN.")
    if document.get("request_id"):
        more.append(f"  Request: {document['request_id']}")
    if kind is Refused:
        listed = tuple(error for error in errors if isinstance(error, dict)) if isinstance(errors, list) else ()
        return Refused(f"{code}: {detail}", *more, status=status, errors=listed)
    return kind(f"{code}: {detail}", *more, status=status)
