"""The coder: a bounded loop of tool calls on the workbench, until the model says that it is done."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

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


def code(models: Models, task: Task, plan: Plan, bench: Workbench, *, diagnosis: str = "") -> str:
    """Change the files; returns the coder's own summary. Raises :class:`ModelStuck` when it comes to no
    end.
    """
    toolbox = Toolbox(bench)
    messages = _opening(task, plan, diagnosis)
    seen: Counter[str] = Counter()
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
        summary = _used(answer, toolbox, messages, seen)
        if summary is not None:
            return summary
    raise ModelStuck(f"The coder did not finish within {models.chain.iterations} answers.")


def _used(answer: Answer, toolbox: Toolbox, messages: list[BaseMessage], seen: Counter[str]) -> str | None:
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
            seen.clear()  # the files are others now: running the same tests again is no repetition
        else:
            result = _counted(call, result, seen)
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


def _counted(call: Call, result: str, seen: Counter[str]) -> str:
    """The result, with a hint at the second identical action; :class:`ModelStuck` at the third."""
    action = json.dumps([call.name, call.arguments, result], sort_keys=True, default=str)
    key = hashlib.sha256(action.encode("utf-8", "replace")).hexdigest()
    seen[key] += 1
    if seen[key] >= MAX_REPEATS:
        raise ModelStuck(f"The coder repeated {call.name} {seen[key]} times with the same result.")
    return result + (SAME_AGAIN if seen[key] > 1 else "")


def _opening(task: Task, plan: Plan, diagnosis: str) -> list[BaseMessage]:
    from langchain_core.messages import SystemMessage

    parts = [requirement(task), plan_text(plan)]
    if diagnosis:
        parts.append(fenced(f"Attempt {task.attempt - 1} was sent back; the tester says", diagnosis))
    return [SystemMessage(f"{HOUSE_RULES}\n{ROLE}"), _human("\n\n".join(parts))]


def _human(text: str) -> BaseMessage:
    from langchain_core.messages import HumanMessage

    return HumanMessage(text)
