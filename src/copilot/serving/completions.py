"""Bodies of requests in, bodies of replies out: the chat completions protocol of OpenAI, and our own `/ask`.

Source: https://platform.openai.com/docs/api-reference/chat. Settings of a request that a server of one tuned model
cannot follow (model, temperature, max_tokens ...) are read and left aside, as other such servers do.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from copilot.types import Answer

QUESTION = 8000  # characters of a question, at most


class Ask(BaseModel):
    """The body of `POST /ask`."""

    question: str = Field(min_length=1, max_length=QUESTION, pattern=r"\S")
    before: list[str] = Field([], max_length=100, description="the earlier questions of the conversation, oldest first")

    def questions(self) -> list[str]:
        """The questions of the conversation; the last one is to be answered."""
        return [*(text for text in self.before if text.strip()), self.question]


class Part(BaseModel):
    """A piece of a message; only texts count here."""

    type: str
    text: str = ""


class Said(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    def words(self) -> str:
        """Its text."""
        parts = self.content if isinstance(self.content, list) else []
        return self.content if isinstance(self.content, str) else "\n".join(p.text for p in parts if p.type == "text")


class StreamOptions(BaseModel):
    """What a stream also holds."""

    include_usage: bool = False


class Completion(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    messages: list[Said] = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None

    def questions(self) -> list[str]:
        """The user's questions; the last one is to be answered. Raises ValueError where there is none to answer."""
        asked = [text for said in self.messages if said.role == "user" and (text := said.words().strip())]
        if not asked or self.messages[-1].role != "user" or not self.messages[-1].words().strip():
            raise ValueError("the last message must be a question of the user's")
        if len(asked[-1]) > QUESTION:
            raise ValueError(f"a question may have {QUESTION} characters")
        return asked


def completion(answer: Answer, head: dict[str, Any]) -> dict[str, Any]:
    """A whole reply; `copilot` is the object of `ask --json`: sections, sources, hits, findings."""
    message = {"role": "assistant", "content": answer.marked or answer.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    done = {"object": "chat.completion", "choices": [choice], "usage": usage(answer), "copilot": answer.to_json()}
    return {**head, **done}


def piece(text: str, head: dict[str, Any]) -> dict[str, Any]:
    """A chunk of a streamed reply."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}


def ending(answer: Answer, head: dict[str, Any], with_usage: bool) -> Iterator[dict[str, Any]]:
    """The last chunks of a streamed reply: that it has ended, with `copilot`, and what it cost where that was asked."""
    chunk = {**head, "object": "chat.completion.chunk"}
    yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "copilot": answer.to_json()}
    if with_usage:
        yield {**chunk, "choices": [], "usage": usage(answer)}


def usage(answer: Answer) -> dict[str, Any]:
    """What it cost, in tokens; those of the prompt that were not read again are `cached_tokens`."""
    spent = answer.usage
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": spent.prompt_tokens_reused},
    }
