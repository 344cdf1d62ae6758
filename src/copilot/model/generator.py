"""Messages in, text out: a language model behind a small Protocol, one answer streamed or many at once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from copilot.config import AnswerPart
from copilot.errors import CopilotError
from copilot.model.attention import read_prompts
from copilot.model.constrain import Constraint, Vocabulary
from copilot.model.dataset import prompt_tokens
from copilot.model.load import Loaded
from copilot.types import Message


@dataclass(frozen=True, slots=True)
class Generated:
    """A finished text and its cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class Generator(Protocol):
    """What answers need of a language model."""

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece, held to a Lark grammar where one is given."""
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


class TransformersGenerator:
    """Greedy or sampled decoding by transformers (and by unsloth, whose models are transformers' too)."""

    def __init__(self, loaded: Loaded, config: AnswerPart, max_length: int, seed: int, batch_size: int = 16) -> None:
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.config, self.max_length, self.seed, self.batch_size = config, max_length, seed, batch_size
        self.vocabulary: Vocabulary | None = None  # made when a grammar asks for it
        self.read: dict[Any, Any] = {}  # the last prompts, as the model has read them

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        return len(prompt_tokens(messages, self.tokenizer))

    def count_text(self, text: str) -> int:
        """Tokens of an answer."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece, from a thread of transformers' own streamer."""
        from threading import Event, Thread

        import torch
        from transformers import TextIteratorStreamer

        stops = self._stops

        class Pieces(TextIteratorStreamer):  # type: ignore[misc]
            """Words as they are complete; a stop token is no part of the text."""

            def put(self, value: Any) -> None:
                if value.ndim > 1 or int(value[0]) not in stops:
                    super().put(value)

        ids = prompt_tokens(messages, self.tokenizer)
        self._check_room(ids)
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
        """All answers, in order; prompts of like length share a batch."""
        import torch

        ids = [prompt_tokens(messages, self.tokenizer) for messages in prompts]
        for row in ids:
            self._check_room(row)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        done: dict[int, Generated] = {}
        pad = self.tokenizer.pad_token_id
        for at in range(0, len(order), self.batch_size):
            part = order[at : at + self.batch_size]
            longest = max(len(ids[i]) for i in part)
            inputs = torch.tensor([[pad] * (longest - len(ids[i])) + ids[i] for i in part])  # (b, t), padded left
            mask = torch.tensor([[0] * (longest - len(ids[i])) + [1] * len(ids[i]) for i in part])
            rooms = [self._room(len(ids[i])) for i in part]
            rules = None if grammars is None else [grammars[i] for i in part]
            out = self._generate(inputs.to(self.model.device), mask.to(self.model.device), max(rooms), rules)
            for i, room, full in zip(part, rooms, out[:, longest:].tolist(), strict=True):
                row = full[:room]  # what it would have written alone
                row = row[: next((n for n, token in enumerate(row) if token in self._stops), len(row))]
                text = self.tokenizer.decode(row, skip_special_tokens=True).strip()
                done[i] = Generated(text, len(ids[i]), len(row))
            step(len(part))
        return [done[i] for i in range(len(ids))]

    @property
    def _stops(self) -> set[int]:
        stops = self.model.generation_config.eos_token_id
        ids = {stops} if isinstance(stops, int) else set(stops or [])
        return ids | {self.tokenizer.eos_token_id}

    def _check_room(self, ids: Sequence[int]) -> None:
        if len(ids) + 1 >= self.max_length:
            raise CopilotError(
                f"the prompt has {len(ids)} tokens, model.max_length is {self.max_length}",
                "lower retriever.k or raise model.max_length",
            )

    def _room(self, prompt: int) -> int:
        """Tokens that an answer may have after a prompt of so many."""
        return max(min(self.config.max_new_tokens, self.max_length - prompt), 1)

    def _constraint(self, grammars: Sequence[str], prompt: int, room: int) -> Constraint:
        if self.vocabulary is None:
            self.vocabulary = Vocabulary(self.tokenizer, self.model.config.vocab_size, self._stops)
        return Constraint(self.vocabulary, grammars, len(self.config.sections), prompt, room)

    def _generate(self, inputs: Any, mask: Any, room: int, grammars: Sequence[str] | None, **options: Any) -> Any:
        import torch

        if grammars is not None:
            options["logits_processor"] = [self._constraint(grammars, inputs.shape[1], room)]
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
