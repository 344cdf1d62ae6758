"""Messages in, text out: a language model behind a small Protocol, one answer streamed or many at once.

On a GPU a Llama-like model is decoded by our own engine (`engine.py`), everything else by transformers' generate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from copilot.config import AnswerPart
from copilot.errors import TooLongError
from copilot.model.attention import read_prompts
from copilot.model.constrain import Constraint, Masks, Vocabulary
from copilot.model.dataset import prompt_tokens
from copilot.model.load import Loaded
from copilot.types import Message

if TYPE_CHECKING:
    from copilot.model.engine import Engine


@dataclass(frozen=True, slots=True)
class Generated:
    """A finished text and its cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    reused: int = 0  # tokens of the prompt that were not read again


class Generator(Protocol):
    """What answers need of a language model."""

    @property
    def reused(self) -> int:
        """Tokens of the last prompt that were not read again, since the one before began with them too."""
        ...

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece, held to a Lark grammar where one is given; "" while it only goes on."""
        ...

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None],
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        """All answers, in order, each held to its grammar where there are any; `step(n)` is told of n more done."""
        ...

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        ...

    def count_text(self, text: str) -> int:
        """Tokens of an answer."""
        ...


def check_room(prompt: int, max_length: int) -> None:
    """Raises CopilotError when a prompt of so many tokens leaves no room for an answer."""
    if prompt + 1 >= max_length:
        raise TooLongError(
            f"the prompt has {prompt} tokens, and the model reads {max_length}",
            "shorten the question, lower retriever.k, or raise model.max_length where the model allows it",
        )


def room_after(prompt: int, config: AnswerPart, max_length: int) -> int:
    """Tokens that an answer may have after a prompt of so many."""
    return max(min(config.max_new_tokens, max_length - prompt), 1)


def limit_after(prompt: int, config: AnswerPart, max_length: int) -> str:
    """The setting that gives an answer its room after a prompt of so many tokens, with its value."""
    if config.max_new_tokens <= max_length - prompt:
        return f"answer.max_new_tokens ({config.max_new_tokens})"
    return f"model.max_length ({max_length})"


class TransformersGenerator:
    """Greedy or sampled decoding of a transformers model (and of unsloth's, which are transformers' too)."""

    def __init__(
        self,
        loaded: Loaded,
        config: AnswerPart,
        max_length: int,
        seed: int,
        batch_size: int = 16,
        engine: Literal["auto", "graphs", "transformers"] = "auto",
    ) -> None:
        """`engine` auto is our own on a GPU where it knows the model; graphs takes it on a CPU too, in plain torch."""
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.config, self.max_length, self.seed, self.batch_size = config, max_length, seed, batch_size
        self.vocabulary: Vocabulary | None = None  # made when a grammar asks for it
        self.decoding: Literal["auto", "graphs", "transformers"] = engine
        self.opened: list[Engine | None] = []  # the engine, once it was asked for
        self.reused = 0
        self.cut = ""  # the setting that ended the last streamed text early
        self.held: Masks | None = None  # what that text was held to
        self.read: dict[Any, Any] = {}  # the last prompts, as the model has read them

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        return len(prompt_tokens(messages, self.tokenizer))

    def count_text(self, text: str) -> int:
        """Tokens of an answer."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece."""
        ids = prompt_tokens(messages, self.tokenizer)
        check_room(len(ids), self.max_length)
        engine, self.held, written = self._engine(), None, [0]
        by = self._stream(ids, grammar, written) if engine is None else self._stream_by(engine, ids, grammar, written)
        yield from by
        early = written[0] >= self._room(len(ids)) or (self.held is not None and self.held.hurried)
        self.cut = limit_after(len(ids), self.config, self.max_length) if early else ""

    def _stream(self, ids: Sequence[int], grammar: str | None, written: list[int]) -> Iterator[str]:
        """From a thread of transformers' own streamer, which counts its tokens in `written`."""
        from threading import Event, Thread

        import torch
        from transformers import TextIteratorStreamer

        stops = self._stops

        class Pieces(TextIteratorStreamer):  # type: ignore[misc]
            """Words as they are complete; a stop token is no part of the text."""

            def put(self, value: Any) -> None:
                if value.ndim > 1 or int(value[0]) not in stops:
                    written[0] += value.ndim == 1
                    super().put(value)

        streamer = Pieces(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        inputs = torch.tensor([ids], device=self.model.device)
        failure: list[BaseException] = []
        left = Event()

        def nobody_listens(ids: Any, scores: Any, **options: Any) -> Any:
            return torch.full((len(ids),), left.is_set(), device=ids.device)

        def work() -> None:
            try:
                options = {"streamer": streamer, "stopping_criteria": [nobody_listens]}
                grammars = None if grammar is None else [grammar]
                self._generate(inputs, torch.ones_like(inputs), self._room(len(ids)), grammars, **options)
            except BaseException as error:  # carried to the caller below
                failure.append(error)
                streamer.end()

        thread = Thread(target=work, daemon=True)
        thread.start()
        try:
            yield from streamer
        finally:  # also when the caller goes away: the thread ends with the token it is at
            left.set()
            thread.join()
        if failure:
            raise failure[0]

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None] = lambda n: None,
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        """All answers, in order."""
        ids = [prompt_tokens(messages, self.tokenizer) for messages in prompts]
        for prompt in ids:
            check_room(len(prompt), self.max_length)
        engine = self._engine()
        if engine is None:
            return self._batch(ids, step, grammars)
        texts: list[list[int]] = [[] for _ in ids]
        for row, tokens, ended in self._pieces(engine, ids, grammars):
            texts[row] += tokens
            if ended:
                step(1)
        return [self._generated(prompt, tokens) for prompt, tokens in zip(ids, texts, strict=True)]

    def _batch(
        self, ids: Sequence[Sequence[int]], step: Callable[[int], None], grammars: Sequence[str] | None
    ) -> list[Generated]:
        """By transformers' generate; prompts of like length share a batch."""
        import torch

        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        done: dict[int, Generated] = {}
        pad = self.tokenizer.pad_token_id
        for at in range(0, len(order), self.batch_size):
            part = order[at : at + self.batch_size]
            longest = max(len(ids[i]) for i in part)
            inputs = torch.tensor([[pad] * (longest - len(ids[i])) + list(ids[i]) for i in part])  # (b, t), padded left
            mask = torch.tensor([[0] * (longest - len(ids[i])) + [1] * len(ids[i]) for i in part])
            rooms = [self._room(len(ids[i])) for i in part]
            rules = None if grammars is None else [grammars[i] for i in part]
            out = self._generate(inputs.to(self.model.device), mask.to(self.model.device), max(rooms), rules)
            for i, room, full in zip(part, rooms, out[:, longest:].tolist(), strict=True):
                row = full[:room]  # what it would have written alone
                row = row[: next((n for n, token in enumerate(row) if token in self._stops), len(row))]
                done[i] = self._generated(ids[i], row)
            step(len(part))
        return [done[i] for i in range(len(ids))]

    def _generated(self, prompt: Sequence[int], tokens: Sequence[int]) -> Generated:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return Generated(text, len(prompt), len(tokens))

    def _engine(self) -> "Engine | None":
        """Our own decoding, opened when first asked for: the adapter is on the model by then."""
        from copilot.model.engine import open_engine  # here, since asking without a GPU needs none of it

        if not self.opened:
            forced = self.decoding == "graphs"
            known = self.decoding != "transformers"
            self.opened.append(open_engine(self.model, self.max_length, forced) if known else None)
        return self.opened[0]

    def _pieces(
        self, engine: "Engine", ids: Sequence[Sequence[int]], grammars: Sequence[str] | None
    ) -> Iterator[tuple[int, list[int], bool]]:
        """(prompt, its next tokens, whether it has ended), as they come."""
        from copilot.model.slots import Choice, Request

        requests = [Request(tuple(row), self._room(len(row))) for row in ids]
        held = None
        if grammars is not None:
            rooms = [request.room for request in requests]
            held = Masks(self._vocabulary(), grammars, len(self.config.sections), rooms, self.config.budgets)
            self.held = held
        choice = Choice(self.config.temperature, self.seed, frozenset(self._stops))
        return engine.generate(requests, self.batch_size, choice, held)

    def _stream_by(
        self, engine: "Engine", ids: Sequence[int], grammar: str | None, written: list[int]
    ) -> Iterator[str]:
        """Words as they are complete; when the caller goes away, no further token is begun."""
        import torch
        from transformers import TextStreamer

        ready: list[str] = []

        class Pieces(TextStreamer):  # type: ignore[misc]
            """Transformers' cutting of tokens into words, without its printing."""

            def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
                ready.append(text)

        words = Pieces(self.tokenizer, skip_special_tokens=True)
        for _, tokens, _ in self._pieces(engine, [ids], None if grammar is None else [grammar]):
            written[0] += len(tokens)
            for token in tokens:
                words.put(torch.tensor([token]))
            yield from ready
            ready.clear()
        words.end()
        yield from ready

    @property
    def _stops(self) -> set[int]:
        stops = self.model.generation_config.eos_token_id
        ids = {stops} if isinstance(stops, int) else set(stops or [])
        return ids | {self.tokenizer.eos_token_id}

    def _room(self, prompt: int) -> int:
        return room_after(prompt, self.config, self.max_length)

    def _vocabulary(self) -> Vocabulary:
        if self.vocabulary is None:
            self.vocabulary = Vocabulary(self.tokenizer, self.model.config.vocab_size, self._stops)
        return self.vocabulary

    def _constraint(self, grammars: Sequence[str], prompt: int, room: int) -> Constraint:
        count, budgets = len(self.config.sections), self.config.budgets
        return Constraint(self._vocabulary(), grammars, count, prompt, room, budgets)

    def _generate(self, inputs: Any, mask: Any, room: int, grammars: Sequence[str] | None, **options: Any) -> Any:
        import torch

        if grammars is not None:
            constraint = self._constraint(grammars, inputs.shape[1], room)
            options["logits_processor"], self.held = [constraint], constraint.masks
        if self.config.temperature > 0:
            torch.manual_seed(self.seed)
            options |= {"do_sample": True, "temperature": self.config.temperature, "top_p": 1.0, "top_k": 0}
        else:
            options |= {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        with torch.inference_mode():
            if self.model.device.type == "cpu" and getattr(self.model, "_can_compile_fullgraph", False):
                prompts = [row[kept.bool()].tolist() for row, kept in zip(inputs, mask, strict=True)]
                cache = read_prompts(self.model, prompts, inputs.shape[1] + room, self.read)
                options |= {"past_key_values": cache, "disable_compile": True}
            return self.model.generate(
                input_ids=inputs,
                attention_mask=mask,
                max_new_tokens=room,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=sorted(self._stops),
                **options,
            )
