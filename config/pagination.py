"""Lists by cursor, newest first."""

from __future__ import annotations

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
        if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= self.max_page_size:
            raise exceptions.ValidationError({"page_size": [f"must be a number from 1 to {self.max_page_size}"]})
        return int(given)

    def decode_cursor(self, request: Request) -> pagination.Cursor | None:
        try:
            return super().decode_cursor(request)
        except exceptions.NotFound:
            raise exceptions.ValidationError({"cursor": ["is not a cursor of this list"]}) from None
