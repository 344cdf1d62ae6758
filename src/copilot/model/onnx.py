"""A folder of `copilot export` in; answers by onnxruntime-genai out, with neither torch nor transformers imported."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.config import AnswerPart
from copilot.errors import StaleError, first_line
from copilot.knowledge.onnx_encoder import threads
from copilot.model.constrain import Masks, Vocabulary
from copilot.model.generator import Generated, check_room, room_after
from copilot.model.tokens import Tokens
from copilot.types import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 256  # tokens of a prompt read in one step: all at once takes 80 MB more for 2,300, and is a little slower


class OnnxGenerator:
    """Greedy or sampled decoding, one text at a time, held to the same masks as every other runtime.

    The model is opened in a thread, so that a question can be embedded and searched meanwhile. What it has read of the
    last prompt is kept: the part that a next prompt begins with is not read again.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], config: AnswerPart, max_length: int, seed: int) -> None:
        """`manifest` is that of `folder`; `max_length` the most tokens of a prompt with its answer."""
        self.folder, self.config, self.seed = folder, config, seed
        self.max_length = min(max_length, int(manifest["context"]))
        self.stops, self.size = frozenset(manifest["stops"]), int(manifest["vocabulary"])
        self.tokens = Tokens(folder)
        self.reused = 0  # tokens of the last prompt that were not read again
        self.known: list[int] = []  # tokens that the decoder has read
        pool = ThreadPoolExecutor(1)
        self.opened: Future[tuple[Any, Vocabulary]] = pool.submit(self._open)
        pool.shutdown(wait=False)

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt."""
        return len(self.tokens.prompt(messages))

    def count_text(self, text: str) -> int:
        """Tokens of an answer."""
        return self.tokens.count_text(text)

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer piece by piece."""
        from tokenizers.decoders import DecodeStream

        words, written, sent = DecodeStream(skip_special_tokens=True), [], 0
        for token in self._answer(self.tokens.prompt(messages), grammar):
            written.append(token)
            if piece := words.step(self.tokens.tokenizer, token):
                sent += len(piece)
                yield piece
        if rest := self.tokens.decode(written)[sent:]:  # an unfinished character
            yield rest

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None] = lambda n: None,
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        """All answers, in order, one after the other."""
        made = []
        for i, messages in enumerate(prompts):
            ids = self.tokens.prompt(messages)
            tokens = list(self._answer(ids, grammars[i] if grammars else None))
            made.append(Generated(self.tokens.decode(tokens).strip(), len(ids), len(tokens), self.reused))
            step(1)
        return made

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest tokens after a prompt, `count` of them or up to a stop token, held to nothing."""
        return list(self._write(ids, count, None, 0.0))

    def _answer(self, ids: Sequence[int], grammar: str | None) -> Iterator[int]:
        check_room(len(ids), self.max_length)
        room = room_after(len(ids), self.config, self.max_length)
        masks = None
        if grammar is not None:
            masks = Masks(self.opened.result()[1], [grammar], len(self.config.sections), [room], self.config.budgets)
        return self._write(ids, room, masks, self.config.temperature)

    def _write(self, ids: Sequence[int], room: int, masks: Masks | None, temperature: float) -> Iterator[int]:
        import numpy as np

        chance = np.random.default_rng(self.seed)
        scores = self._read(ids)
        for left in range(room, 0, -1):
            allowed = scores if masks is None else np.where(self._allowed(masks), scores, -np.inf)
            token = int(allowed.argmax()) if temperature == 0 else _draw(allowed, temperature, chance)
            if token in self.stops:
                return
            yield token
            if left > 1:
                if masks is not None:
                    masks.take(0, token)
                scores = self._go_on([token])

    def _allowed(self, masks: Masks) -> "NDArray[np.bool_]":
        """What may come next, (vocabulary,)."""
        import numpy as np

        bits = np.zeros((1, -(-self.size // 32)), np.int32)
        masks.fill([(0, 0)], bits)
        return np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self.size].view(bool)

    def _read(self, ids: Sequence[int]) -> "NDArray[np.float32]":
        """The scores after a prompt, (vocabulary,); what the last one shares with it is not read again."""
        decoder = self.opened.result()[0]
        most = min(len(self.known), len(ids) - 1)  # the last token is read in any case: its scores are wanted
        self.reused = next((i for i in range(most) if self.known[i] != ids[i]), most)
        if self.known:
            decoder.rewind_to(self.reused)
        self.known = list(ids[: self.reused])
        return self._go_on(ids[self.reused :])

    def _go_on(self, ids: Sequence[int]) -> "NDArray[np.float32]":
        import numpy as np

        decoder = self.opened.result()[0]
        for at in range(0, len(ids), AT_ONCE):
            part = list(ids[at : at + AT_ONCE])
            decoder.append_tokens(np.array(part, dtype=np.int32))
            self.known += part
        scores: NDArray[np.float32] = decoder.get_logits()[0, -1, : self.size]
        return scores

    def _open(self) -> tuple[Any, Vocabulary]:
        """A decoder with its own cache, and the vocabulary for grammars. Raises StaleError for a damaged folder."""
        import onnxruntime_genai as genai

        try:
            config = genai.Config(str(self.folder))
            config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": threads()}}}}))
            model = genai.Model(config)
            settings = genai.GeneratorParams(model)
            settings.set_search_options(max_length=self.max_length, do_sample=False)
            decoder = genai.Generator(model, settings)
        except Exception as error:  # one kind of error for whatever is wrong with the files
            why = f"{self.folder}: cannot be opened: {first_line(error)}"
            raise StaleError(why, "run copilot export again, or set model.runtime=transformers") from None
        return decoder, Vocabulary(self.tokens.tokenizer, self.size, set(self.stops))


def _draw(scores: "NDArray[np.floating]", temperature: float, chance: Any) -> int:
    """A token by its probability at this temperature."""
    import numpy as np

    weights = np.exp((scores - scores.max()).astype(np.float64) / temperature)
    return int(chance.choice(len(weights), p=weights / weights.sum()))
