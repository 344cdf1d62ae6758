"""Messages in, text out, by a provider's chat model (Azure OpenAI, OpenAI, or a server that speaks its protocol).

Only a server that takes grammars (`model.guided`: vLLM) holds such a model while it writes. What it wrote is checked
afterwards in any case.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from copilot.config import AnswerPart, Model
from copilot.errors import CopilotError, first_line
from copilot.model.generator import Generated
from copilot.provider import client_options, endpoint_of, failures
from copilot.types import Message

TOKEN = 4  # characters, where the provider does not say how many tokens it counted


class RemoteGenerator:
    """A Generator whose text comes from `model.name`, a `provider:name`."""

    def __init__(self, model: Model, answer: AnswerPart, seed: int, at_once: int) -> None:
        """`at_once` is how many requests of a batch are open together. Raises CopilotError for missing settings."""
        options: dict[str, Any] = {"temperature": answer.temperature, "max_tokens": answer.max_new_tokens, "seed": seed}
        options |= {"stream_usage": True, "use_responses_api": False, "max_retries": 2}
        options |= client_options(model.name, model)
        from langchain.chat_models import init_chat_model

        self.where = f"{model.name} at {endpoint_of(model.provider or '', model)}"
        self.guided = model.guided
        self.at_once, self.reused = at_once, 0  # what a provider reuses, it keeps to itself
        self.cut, self.limit = "", f"answer.max_new_tokens ({answer.max_new_tokens})"
        self.counted: dict[object, int] = {}  # tokens of the last prompts and texts, as the provider counted them
        try:
            self.client: Any = init_chat_model(model.name, **options)
        except Exception as error:  # each provider has its own exceptions for wrong settings
            why = f"cannot open {model.name}: {first_line(error)}"
            raise CopilotError(why, "check the `model` section") from None

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece; `grammar` has an effect where `model.guided` says so."""
        whole: Any = None
        with self._call():
            for piece in self.client.stream(list(messages), **self._held(grammar)):
                whole = piece if whole is None else whole + piece
                if piece.text:
                    yield piece.text
        self._finished(messages, whole)

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None] = lambda n: None,
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        """All answers, in order; `grammars` as in `stream`."""
        from langchain_core.runnables import RunnableLambda

        done: dict[int, Generated] = {}
        together: Any = {"max_concurrency": self.at_once}
        held: Sequence[str | None] = grammars or [None] * len(prompts)
        asked = list(zip(prompts, held, strict=True))
        ask: Any = RunnableLambda(lambda one: self.client.invoke(list(one[0]), **self._held(one[1])))
        with self._call():
            for n, message in ask.batch_as_completed(asked, together):
                done[n] = self._finished(prompts[n], message)
                step(1)
        return [done[n] for n in range(len(prompts))]

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of a prompt, as the provider counted them when it last answered it; else an estimate."""
        return self.counted.get(_key(messages)) or sum(len(m["content"]) for m in messages) // TOKEN

    def count_text(self, text: str) -> int:
        """Tokens of an answer, as the provider counted them when it last gave it; else an estimate."""
        return self.counted.get(text.strip()) or len(text) // TOKEN

    def _held(self, grammar: str | None) -> dict[str, Any]:
        """What holds an answer to a grammar: vLLM's name for it, from 0.12 on; its `guidance` backend reads Lark."""
        return {"extra_body": {"structured_outputs": {"grammar": grammar}}} if self.guided and grammar else {}

    @contextmanager
    def _call(self) -> Iterator[None]:
        """Failures become sentences, and LangSmith, which the environment can switch on, hears nothing."""
        from langsmith import tracing_context

        with failures(self.where, "answer"), tracing_context(enabled=False):
            yield

    def _finished(self, messages: Sequence[Message], message: Any) -> Generated:
        text = message.text.strip() if message is not None else ""
        if not text:
            reason = message.response_metadata.get("finish_reason") if message is not None else None
            why = f" (it ended with {reason})" if reason else ""
            raise CopilotError(f"{self.where} gives no answer: the text is empty{why}", "raise answer.max_new_tokens")
        self.cut = self.limit if message.response_metadata.get("finish_reason") == "length" else ""
        usage = message.usage_metadata or {}
        self.counted[_key(messages)] = usage.get("input_tokens", 0)
        self.counted[text] = usage.get("output_tokens", 0)
        return Generated(text, self.count(messages), self.count_text(text))


def _key(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in messages)
