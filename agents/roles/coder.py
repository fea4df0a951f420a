"""The coder: a bounded loop of tool calls on the workbench, until the model says that it is done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from agents.chat_models import Models
from agents.engines.protocol import Plan, Task, Workbench
from agents.model_answers import Answer, Call
from agents.providers import ModelStuck, ModelTruncated
from agents.roles.prompts import HOUSE_RULES, fenced, plan_text, requirement
from agents.roles.toolbox import TOOLS, Done, Toolbox

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

ROLE = (
    "You are the coder. Carry out the plan with the tools: read before you edit, keep edits small, run "
    "the tests, and call Done when the requirement is met. Never weaken, skip or delete a test to make it pass."
)
CUT_OFF = "Your answer was cut at the length limit; nothing of it was executed. Go on in smaller edits."
USE_TOOLS = "Nothing was executed: go on by calling a tool, or call Done when the requirement is met."
SAME_AGAIN = "\nYou did exactly this before, with this result. Try something else."
TOO_MANY = "Not executed: at most 20 calls are executed of one answer."
DROPPED = "[dropped to save room; read again what you need]"
MAX_CALLS = 20
MAX_CONTEXT_CHARS = 240_000
MAX_REPEATS = 3
MAX_IDLE_ANSWERS = 3
MAX_ALTERNATIONS = 6  # calls that go back and forth between two
HINT_AFTER, STUCK_AFTER = 20, 35  # answers in a row that change no file
NO_PROGRESS = "Nothing has changed for a long while. Edit now with what you know, or call Done."


def code(
    models: Models, task: Task, plan: Plan, bench: Workbench, *,
    survey: str = "", diagnosis: str = "", assignment: str = "",
) -> str:  # fmt: skip
    """Change the files; returns the coder's own summary. Raises :class:`ModelStuck` when it comes to no
    end.

    ``assignment`` says which steps of the plan are meant, where not all of them are.
    """
    toolbox = Toolbox(bench)
    messages = _opening(task, plan, survey, diagnosis, assignment)
    seen = Seen()
    idle = cut = 0
    for _ in range(models.chain.iterations):
        try:
            answer = models.ask(_fitting(messages), tools=TOOLS)
        except ModelTruncated:
            cut += 1
            if cut > 1:  # one bounded second chance in a row
                raise
            messages.append(_human(CUT_OFF))
            continue
        cut = 0
        messages.append(answer.message)
        if not answer.calls:
            idle += 1
            if idle >= MAX_IDLE_ANSWERS:
                raise ModelStuck(f"The coder answered {idle} times without using a tool.")
            messages.append(_human(USE_TOOLS))
            continue
        edited = toolbox.edited
        summary = _used(answer, toolbox, messages, seen)
        if summary is not None:
            return summary
        if seen.without_edit(edited == toolbox.edited):
            messages.append(_human(NO_PROGRESS))
    raise ModelStuck(f"The coder did not finish within {models.chain.iterations} answers.")


def _used(answer: Answer, toolbox: Toolbox, messages: list[BaseMessage], seen: Seen) -> str | None:
    """Execute an answer's calls in order and append their results; the summary once Done was called."""
    from langchain_core.messages import ToolMessage

    summary = None
    for number, call in enumerate(answer.calls, start=1):
        if number > MAX_CALLS:
            messages.append(ToolMessage(TOO_MANY, tool_call_id=call.id))
            continue
        if call.name == Done.__name__:
            summary = str(call.arguments.get("summary") or "The coder is done.")[:4000]
            messages.append(ToolMessage("Noted.", tool_call_id=call.id))
            continue
        edited = toolbox.edited
        result = toolbox.use(call)
        if toolbox.edited > edited:
            seen.edited(call)
        else:
            result += seen.again(call, result)
        messages.append(ToolMessage(fenced("Result", result), tool_call_id=call.id))
    return summary


def _fitting(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The messages within our bound: the oldest results give way first, the two newest rounds never."""
    from langchain_core.messages import ToolMessage

    excess = sum(len(str(message.content)) for message in messages) - MAX_CONTEXT_CHARS
    fitted = list(messages)
    for at, message in enumerate(messages[:-MAX_CALLS]):
        if excess <= 0:
            break
        if isinstance(message, ToolMessage):
            excess -= len(str(message.content))
            fitted[at] = ToolMessage(DROPPED, tool_call_id=message.tool_call_id)
    return fitted


class Seen:
    """What the coder did, to notice when it goes in circles. Raises :class:`ModelStuck` then."""

    def __init__(self) -> None:
        self._results: Counter[str] = Counter()
        self._edits: Counter[str] = Counter()
        self._last: deque[str] = deque(maxlen=MAX_ALTERNATIONS)
        self._idle = 0

    def edited(self, call: Call) -> None:
        """An edit: the files are others now, and running the same tests again is no repetition.

        The very same edit a third time means that it was taken back in between, twice.
        """
        self._results.clear()
        self._last.clear()
        key = _key(call.name, call.arguments)
        self._edits[key] += 1
        if self._edits[key] >= MAX_REPEATS:
            raise ModelStuck(f"The coder made the same edit {MAX_REPEATS} times and took it back in between.")

    def again(self, call: Call, result: str) -> str:
        """A call that changed nothing; the answer is a hint where it was made before with the same result."""
        key = _key(call.name, call.arguments, result)
        self._results[key] += 1
        if self._results[key] >= MAX_REPEATS:
            raise ModelStuck(f"The coder repeated {call.name} {self._results[key]} times with the same result.")
        self._last.append(_key(call.name, call.arguments))
        by_turns = set(list(self._last)[::2]), set(list(self._last)[1::2])
        if len(self._last) == MAX_ALTERNATIONS and len(by_turns[0]) == len(by_turns[1]) == 1:
            raise ModelStuck(f"The coder goes back and forth between two calls, {call.name} the last.")
        return SAME_AGAIN if self._results[key] > 1 else ""

    def without_edit(self, idle: bool) -> bool:
        """Count answers that changed no file; True when it is time for a hint."""
        self._idle = self._idle + 1 if idle else 0
        if self._idle >= STUCK_AFTER:
            raise ModelStuck(f"The coder changed nothing in {self._idle} answers.")
        return self._idle == HINT_AFTER


def _key(*parts: Any) -> str:
    action = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(action.encode("utf-8", "replace")).hexdigest()


def _opening(task: Task, plan: Plan, survey: str, diagnosis: str, assignment: str) -> list[BaseMessage]:
    from langchain_core.messages import SystemMessage

    parts = [requirement(task), *([survey] if survey else []), plan_text(plan)]
    if diagnosis:
        parts.append(fenced(f"Attempt {task.attempt - 1} was sent back; the tester says", diagnosis))
    if assignment:
        parts.append(assignment)
    return [SystemMessage(f"{HOUSE_RULES}\n{ROLE}"), _human("\n\n".join(parts))]


def _human(text: str) -> BaseMessage:
    from langchain_core.messages import HumanMessage

    return HumanMessage(text)
