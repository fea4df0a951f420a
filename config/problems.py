"""Problem documents (RFC 9457): the one shape of every 4xx and 5xx under /api/."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import set_rollback

from config.bodies import BodyTooLarge
from events.faults import Fault

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
MOST_ERRORS = 100  # a hostile text can hold thousands


def document(
    *, request: HttpRequest | None, status_code: int, code: str, detail: str, errors: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """The body: type, title, status, code, detail, request_id, errors[{pointer, code, detail}]."""
    return {
        "type": f"about:blank#{code}",
        "title": code.replace(".", " ").replace("_", " ").capitalize(),
        "status": status_code,
        "code": code,
        "detail": detail,
        "request_id": getattr(request, "request_id", ""),
        "errors": errors,
        **more,
    }


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: faults, DRF's own errors and Django's, all as problem documents.

    An unexpected exception is not handled here: it reaches :func:`server_error`, and the log with its traceback.
    """
    request = context.get("request")
    if isinstance(error, Fault):
        return _of_fault(request, error)
    error = _as_drf(error)
    if not isinstance(error, exceptions.APIException):
        return None
    set_rollback()
    if isinstance(error, exceptions.ValidationError):
        errors = _flatten(error.detail, pointer="")
        detail = "; ".join(f"{e['pointer'] or 'request'}: {e['detail']}" for e in errors[:3])
        return _response(request, 400, "request.invalid", detail, errors)
    response = _response(request, error.status_code, f"request.{error.default_code}", str(error.detail), [])
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(int(wait) + 1)
    return response


class DatabaseAway(exceptions.APIException):
    """The database did not answer, or not in time."""

    status_code: int = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "database_away"
    default_detail = "The database does not answer now. Try again."
    wait = 1


class DiskFull(DatabaseAway):
    """The database cannot write: no space is left where it lies."""

    status_code = status.HTTP_507_INSUFFICIENT_STORAGE
    default_code = "disk_full"
    default_detail = "The server's disk is full, and nothing can be written. Free some space there, then try again."
    wait = 30


def _away(error: Exception) -> DatabaseAway:
    # SQLite: "database or disk is full"; PostgreSQL: "… No space left on device".
    full = re.search(r"disk is full|no space left", str(error), re.IGNORECASE)
    return DiskFull() if full else DatabaseAway()


def _as_drf(error: Exception) -> Exception:
    """Django's own errors as DRF's."""
    match error:
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return BodyTooLarge("The body is too large.")
        case SuspiciousOperation():
            return exceptions.ParseError("The request cannot be understood.")
        case OperationalError() | InterfaceError():
            log.error("database away", exc_info=error)
            return _away(error)
    return error


def _of_fault(request: Any, fault: Fault) -> Response:
    set_rollback()
    listed = [_located(error) for error in getattr(fault, "errors", ())[:MOST_ERRORS]]
    if not listed and fault.pointer:
        listed = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}]
    facts = {key: value for key, value in fault.facts.items() if key != "errors"}
    return _response(
        request, fault.http_status, fault.code, fault.detail, listed, remedy=fault.remedy_text, facts=facts
    )


def _located(error: Any) -> dict[str, Any]:
    """One located error of a text: the pointer leads into that text, line and column count from 1."""
    steps = re.findall(r"[^.\[\]]+", error.path)
    place = {"file": error.file, "line": error.line, "column": error.column} if error.line else {}
    hint = {"hint": error.hint} if error.hint else {}
    pointer = "".join(f"/{step}" for step in steps)
    return {"pointer": pointer, "code": error.code, "detail": error.message, **place, **hint}


def _response(
    request: Any, status_code: int, code: str, detail: str, errors: list[dict[str, Any]], **more: Any
) -> Response:
    body = document(
        request=getattr(request, "_request", request),
        status_code=status_code,
        code=code,
        detail=detail,
        errors=errors,
        **{key: value for key, value in more.items() if value},
    )
    return Response(body, status=status_code, content_type=CONTENT_TYPE)


def _flatten(detail: Any, *, pointer: str) -> list[dict[str, Any]]:
    if isinstance(detail, dict):
        return [
            e
            for key, value in detail.items()
            for e in _flatten(value, pointer=pointer if key == "non_field_errors" else f"{pointer}/{key}")
        ]
    if isinstance(detail, list):
        nested = any(isinstance(value, (dict, list)) for value in detail)
        return [
            e
            for index, value in enumerate(detail)
            for e in _flatten(value, pointer=f"{pointer}/{index}" if nested else pointer)
        ]
    return [{"pointer": pointer, "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}]


def _plain(request: HttpRequest, status_code: int, code: str, detail: str) -> HttpResponse:
    body = document(request=request, status_code=status_code, code=code, detail=detail, errors=[])
    return JsonResponse(body, status=status_code, content_type=CONTENT_TYPE)


def _for_people(request: HttpRequest, status_code: int, title: str, words: str) -> HttpResponse:
    """A page that needs neither the database nor the session: one of them may be what broke."""
    shown = {
        "status": status_code, "title": title, "words": words, "request_id": getattr(request, "request_id", ""),
    }  # fmt: skip
    return HttpResponse(render_to_string("moorage/error.html", shown), status=status_code)


def _database_away(request: HttpRequest, away: DatabaseAway) -> HttpResponse:
    if request.path.startswith("/api/"):
        response = _plain(request, away.status_code, f"request.{away.default_code}", str(away.detail))
    elif isinstance(away, DiskFull):
        words = "Nothing can be written: free some space under MOORAGE_DATA. What was accepted goes on by itself then."
        response = _for_people(request, away.status_code, "The disk is full", words)
    else:
        words = "The database does not answer, or not in time. What you sent was not taken. Try again in a moment."
        response = _for_people(request, away.status_code, "The database is away", words)
    response["Retry-After"] = str(away.wait)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 400, e.g. for a host name that is not allowed; or its complaint about a form of many megabytes."""
    if isinstance(exception, RequestDataTooBig) and not request.path.startswith("/api/"):
        most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 2**20
        words = (
            f"More than {most} MB in one form are not taken. Go back, where what you typed still stands; shorten it."
        )
        return _for_people(request, 413, "Too much at once", words)
    if request.path.startswith("/api/"):
        return _plain(request, status.HTTP_400_BAD_REQUEST, "request.bad", "The request cannot be understood.")
    return _for_people(request, 400, "Bad request", "The server cannot make sense of it. Go back, and try again.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403."""
    if request.path.startswith("/api/"):
        return _plain(request, status.HTTP_403_FORBIDDEN, "request.permission_denied", "This is not allowed.")
    return _for_people(request, 403, "Not allowed", "You may not do this. An administrator can give you the right.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token, or with one of an earlier session."""
    words = "The form was too old, or came from another page. Go back, reload the page, and send it again."
    return _for_people(request, 403, "The form was not taken", words)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404 for paths that no route knows."""
    if request.path.startswith("/api/"):
        return _plain(request, status.HTTP_404_NOT_FOUND, "request.not_found", f"There is nothing at {request.path}.")
    return _for_people(
        request, 404, "Not found", "There is nothing here. It may have been removed, or the link is wrong."
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500. The log has the traceback under the same request id. A database that is away is told as such."""
    error = sys.exc_info()[1]
    if isinstance(error, (OperationalError, InterfaceError)):
        return _database_away(request, _away(error))
    if request.path.startswith("/api/"):
        return _plain(request, 500, "server.error", "Something broke on our side; the log names this request id.")
    return _for_people(request, 500, "Something broke on our side", "It is in the log. Try again in a moment.")
