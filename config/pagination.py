"""Lists by cursor, newest first unless the view says another ``ordering``."""

from __future__ import annotations

from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework import exceptions, pagination
from rest_framework.request import Request


class NewestFirst(pagination.CursorPagination):
    """``?cursor=…&page_size=…`` with page_size 1 to 200; a bad cursor is a 400, not a 404."""

    ordering = ("-created_at", "pk")
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param)
        if given is None:
            return int(self.page_size or 50)
        if not (given.isascii() and given.isdigit() and len(given) < 9 and 1 <= int(given) <= self.max_page_size):
            raise exceptions.ValidationError({"page_size": [f"must be a number from 1 to {self.max_page_size}"]})
        return int(given)

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return getattr(view, "ordering", None) or self.ordering

    def decode_cursor(self, request: Request) -> pagination.Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except exceptions.NotFound:
            raise _NOT_OURS from None
        if (
            cursor is not None
            and cursor.position is not None
            and not _is_position(str(cursor.position), of=self.ordering[0])
        ):
            raise _NOT_OURS
        return cursor

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": 50}
        return parameters


_NOT_OURS = exceptions.ValidationError({"cursor": ["is not a cursor of this list"]})


def _is_position(text: str, *, of: str) -> bool:
    """Whether a cursor's position is a row number, or a point in time, that a database takes: the client sent it."""
    if of == "pk":
        return text.isascii() and text.isdigit() and len(text) < 19
    try:
        moment = parse_datetime(text)
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None and 1970 < moment.year < 9000
