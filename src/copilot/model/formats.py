"""A training row of any common form in; its question and its response out (ours, TRL, Alpaca, ShareGPT)."""

from collections.abc import Mapping
from typing import Any

FORMS = (
    '{"question", "response"}, {"user_input", "reference"}, TRL\'s {"prompt", "completion"} or {"messages"}, '
    'Alpaca\'s {"instruction", "output"}, ShareGPT\'s {"conversations"}'
)
SPEAKERS = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "model": "assistant"}


def question_and_response(row: Mapping[str, Any]) -> tuple[str, str]:
    """(question, response); either is "" where the row does not hold it.

    In a conversation the response is the last message of the assistant and the question the user's message before it;
    earlier turns and system messages are not used, because the renderer writes its own.
    """
    if "question" in row or "user_input" in row:
        question = _text(row.get("question")) or _text(row.get("user_input"))
        return question, _text(row.get("response")) or _text(row.get("reference"))
    if "messages" in row:
        return _turns(row["messages"])
    if "conversations" in row:
        return _turns(row["conversations"])
    if "prompt" in row and "completion" in row:
        prompt, completion = row["prompt"], row["completion"]
        if isinstance(prompt, str) or isinstance(completion, str):
            return _text(prompt), _text(completion)
        return _turns([*_list(prompt), *_list(completion)])
    if "instruction" in row:
        parts = (_text(row["instruction"]), _text(row.get("input")))
        return "\n\n".join(part for part in parts if part), _text(row.get("output"))
    return "", _text(row.get("response")) or _text(row.get("reference"))


def _turns(messages: Any) -> tuple[str, str]:
    question = response = ""
    for message in reversed([m for m in _list(messages) if isinstance(m, dict)]):
        speaker = str(message.get("role") or message.get("from") or "")
        text = _text(message.get("content") or message.get("value"))
        match SPEAKERS.get(speaker, speaker):
            case "assistant" if not response:
                response = text
            case "user" if response:
                return text, response
            case "user":
                question = question or text
    return question, response


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A text, or the text parts of a message joined; "" for anything else."""
    if isinstance(value, list):
        texts = [part.get("text") for part in value if isinstance(part, dict)]
        value = "\n".join(text for text in texts if isinstance(text, str))
    return value.strip() if isinstance(value, str) else ""
