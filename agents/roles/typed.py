"""One question, one typed answer: the model must call a single tool whose arguments are the answer's type."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agents.chat_models import Models
from agents.model_answers import Answer
from agents.providers import ModelMalformed, ModelTruncated

TypedAnswer = TypeVar("TypedAnswer", bound=BaseModel)


def ask_typed(models: Models, schema: type[TypedAnswer], *, system: str, human: str) -> TypedAnswer:
    """The validated answer. A wrong or cut one is asked for once more, with the reason; then it is a
    fault.
    """
    from langchain_core.messages import HumanMessage, SystemMessage

    messages = [SystemMessage(system), HumanMessage(human)]
    try:
        return _validated(models.ask(messages, tools=[schema], forced=schema.__name__), schema)
    except ModelTruncated:
        reason = "Your answer was cut at the length limit and dropped. Answer again, much shorter."
    except ModelMalformed as fault:
        reason = f"Your answer could not be used: {fault.detail} Call {schema.__name__} with valid arguments."
    messages.append(HumanMessage(reason))
    return _validated(models.ask(messages, tools=[schema], forced=schema.__name__), schema)


def _validated(answer: Answer, schema: type[TypedAnswer]) -> TypedAnswer:
    wanted = [call for call in answer.calls if call.name == schema.__name__]
    try:
        if wanted:
            return schema.model_validate(wanted[0].arguments)
        # Small local models write the JSON instead of calling the tool.
        text = answer.text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
        return schema.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise ModelMalformed(f"It is no {schema.__name__}: {wrong[:400]}") from error
