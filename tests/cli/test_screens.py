"""A terminal that is redrawn: what comes after it begins on a line of its own, however the watching ended."""

from __future__ import annotations

import io

import pytest

from cli import watching
from cli.access import Access
from cli.client import Api
from cli.failures import Refused
from cli.screens import Redrawn
from tests.fakes.moorage_server import TOKEN, MoorageServer, once


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_error_in_the_middle_of_watching_does_not_stand_behind_the_drawn_line() -> None:
    stream = Terminal()
    with MoorageServer().running() as server, Api(Access(url=server.url, token=TOKEN)) as api:
        operation = server.add_operation()
        refused = {"code": "operation.not_found", "detail": "gone"}

        def forget() -> None:
            server.problems["GET", f"operations/{operation['id']}/"] = (404, refused)
            server.move(operation, stage="plan")

        once(server.watched, forget)
        with pytest.raises(Refused):
            watching.watch(api, operation["id"], screen=Redrawn(stream), patience_s=1)
    assert stream.getvalue().endswith("\n")


def test_leaving_a_screen_on_which_every_line_is_whole_adds_nothing() -> None:
    stream = Terminal()
    screen = Redrawn(stream)
    screen.leave()
    screen.note("so far")
    screen.leave()
    once_left = stream.getvalue()
    screen.leave()
    assert stream.getvalue() == once_left
    assert once_left.endswith("\n")
