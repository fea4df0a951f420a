"""What a program tells while it works: lines of the stage's log, and events for its tools."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from acp.schema import (
    AgentMessageChunk,
    AgentPlanUpdate,
    AgentThoughtChunk,
    SessionNotification,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
)

from agents.engines.external.lines import LONGEST_SHOWN, shown
from agents.engines.external.permissions import Call

MOST_LINES = 4000
KEPT_LINES = 80  # the last ones, for a program that has to begin anew
MOST_EVENTS = 300
_MOST_CALLS = 500  # that are kept in mind
_MOST_ENTRIES = 30  # of a plan
_ENDED = frozenset({"completed", "failed"})


class Told:
    """Renders updates, a bounded number of them. ``tool`` is given title, kind and status of each tool call."""

    def __init__(self, *, say: Callable[[str], None], tool: Callable[[dict[str, str]], None]) -> None:
        self._say, self._tool = say, tool
        self._lines_left, self._events_left = MOST_LINES, MOST_EVENTS
        self._who, self._text = "", ""
        self._calls: dict[str, Call] = {}
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self.last_words = ""

    def take(self, notification: SessionNotification) -> None:
        """One update."""
        match notification.update:
            case AgentMessageChunk() as chunk:
                self._chunk("says", chunk.content)
            case AgentThoughtChunk() as chunk:
                self._chunk("thinks", chunk.content)
            case ToolCallStart() as start:
                self._start(start)
            case ToolCallProgress() as progress:
                self._progress(progress)
            case AgentPlanUpdate() as plan:
                self.flush()
                for entry in plan.entries[:_MOST_ENTRIES]:
                    self.line(f"plan: [{entry.status}] {shown(entry.content)}")

    def line(self, text: str) -> None:
        """A line of the log, as long as there is room for one."""
        self._kept.append(text)
        self._lines_left -= 1
        if self._lines_left > 0:
            self._say(text)
        elif self._lines_left == 0:
            self._say("the program says more than is kept")

    @property
    def history(self) -> str:
        """What was said and done last."""
        self.flush()
        return "\n".join(self._kept)

    def event(self, *, title: str, kind: str, status: str) -> None:
        """An event of the operation, as long as there is room for one."""
        if self._events_left > 0:
            self._events_left -= 1
            self._tool({"title": shown(title, limit=200), "kind": kind, "status": status})

    def flush(self) -> None:
        """What was said and has not ended with its line."""
        if self._text.strip():
            self._words(self._text)
        self._text = ""

    def _chunk(self, who: str, content: Any) -> None:
        text = getattr(content, "text", None)
        if not isinstance(text, str):
            return
        if who != self._who:
            self.flush()
            self._who = who
        *lines, rest = (self._text + text).split("\n")
        for line in lines:
            if line.strip():
                self._words(line)
        self._text = rest
        if len(rest) > LONGEST_SHOWN * 8:
            self.flush()

    def _words(self, line: str) -> None:
        said = shown(line)
        self.line(f"{self._who}: {said}")
        if self._who == "says":
            self.last_words = said

    def known(self, told: ToolCallStart | ToolCallUpdate) -> Call:
        """The call that this is about, with all that was told of it until now: programs tell it piece by piece."""
        before = self._calls.get(told.tool_call_id, Call())
        call = Call(
            kind=told.kind or before.kind,
            title=told.title if told.title is not None else before.title,
            given=told.raw_input if told.raw_input is not None else before.given,
            places=tuple(place.path for place in told.locations) if told.locations is not None else before.places,
        )
        if told.tool_call_id in self._calls or len(self._calls) < _MOST_CALLS:
            self._calls[told.tool_call_id] = call
        return call

    def _start(self, start: ToolCallStart) -> None:
        self.flush()
        call = self.known(start)
        self.line(f"tool: {call.words}")
        self.event(title=call.title, kind=call.kind, status=start.status or "pending")

    def _progress(self, progress: ToolCallProgress) -> None:
        empty = not self._calls.get(progress.tool_call_id, Call()).given
        call = self.known(progress)
        self.flush()
        if progress.status not in _ENDED:
            if empty and call.given:
                self.line(f"tool: {call.words}")
            return
        self._calls.pop(progress.tool_call_id, None)
        why = f": {shown(_text_of(progress))}" if progress.status == "failed" else ""
        self.line(f"tool {progress.status}: {shown(call.title, limit=200)}{why}")
        self.event(title=call.title, kind=call.kind, status=str(progress.status))


def _text_of(progress: ToolCallProgress) -> str:
    """The first words among what came out of a call."""
    for piece in progress.content or ():
        text = getattr(getattr(piece, "content", None), "text", None)
        if isinstance(text, str) and text.strip():
            return text
    return ""
