"""A folder of `copilot export` in; answers by onnxruntime out, with neither torch nor transformers imported."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.config import AnswerPart
from copilot.errors import StaleError, first_line
from copilot.model.constrain import Masks, Vocabulary
from copilot.model.generator import Generated, check_room, limit_after, room_after
from copilot.model.lookup import Lookup
from copilot.model.onnx_decoder import Decoder
from copilot.model.tokens import Tokens
from copilot.types import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 256  # tokens of a prompt read in one step: all at once takes 80 MB more for 2,300, and is a little slower


class OnnxGenerator:
    """Greedy or sampled decoding, one text at a time, held to the same masks as every other runtime.

    Model and vocabulary are opened in threads, so that a question can be embedded and searched meanwhile. What it has
    read of the last prompt is kept: the part that a next prompt begins with is not read again. A token that the grammar
    leaves no choice in costs no step of its own, and guesses (`lookup.py`) are checked several in a step.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], config: AnswerPart, max_length: int, seed: int) -> None:
        """`manifest` is that of `folder`; `max_length` the most tokens of a prompt with its answer."""
        self.folder, self.config, self.seed = folder, config, seed
        self.max_length = min(max_length, int(manifest["context"]))
        self.stops, self.size = frozenset(manifest["stops"]), int(manifest["vocabulary"])
        self.tokens = Tokens(folder)
        self.reused = 0  # tokens of the last prompt that were not read again
        self.cut = ""  # the setting that ended the last text early
        self.known: list[int] = []  # tokens that the decoder has read, guessed ones at the end included
        self.sure = 0  # of them, those that are known to begin the text
        self.rows: Any = ()  # scores after the last of them, (1 + guessed tokens, vocabulary)
        pool = ThreadPoolExecutor(2)
        self.decoder: Future[Decoder] = pool.submit(self._open)
        self.vocabulary = pool.submit(Vocabulary, self.tokens.tokenizer, self.size, set(self.stops))
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
            if token is None:
                yield ""
                continue
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
            tokens = [t for t in self._answer(ids, grammars[i] if grammars else None) if t is not None]
            made.append(Generated(self.tokens.decode(tokens).strip(), len(ids), len(tokens), self.reused))
            step(1)
        return made

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The likeliest tokens after a prompt, `count` of them or up to a stop token, held to nothing."""
        return [token for token in self._write(ids, count, None, 0.0) if token is not None]

    def _answer(self, ids: Sequence[int], grammar: str | None) -> Iterator[int | None]:
        check_room(len(ids), self.max_length)
        room = room_after(len(ids), self.config, self.max_length)
        masks = None
        if grammar is not None:
            parts, budgets = len(self.config.sections), self.config.budgets
            masks = Masks(self.vocabulary.result(), [grammar], parts, [room], budgets)
        return self._write(ids, room, masks, self.config.temperature)

    def _write(self, ids: Sequence[int], room: int, masks: Masks | None, temperature: float) -> Iterator[int | None]:
        """The tokens of an answer, and a None for each part of the prompt: who leaves need not wait for the rest.

        What the grammar leaves no choice in, as the first heading, comes before the prompt is read.
        """
        import numpy as np

        chance, text, lookup, asked = np.random.default_rng(self.seed), list(ids), Lookup(), False
        self.reused, self.cut, full = 0, "", True
        for _ in range(room):
            allowed = None if masks is None else self._allowed(masks)
            if allowed is not None and np.count_nonzero(allowed) == 1:
                token = int(allowed.argmax())  # no choice: read later, together with what follows
            else:
                if not asked:
                    yield from self._prompt(text, len(ids))
                    asked = True
                scores = self._scores(text, lookup)
                scores = scores if allowed is None else np.where(allowed, scores, -np.inf)
                token = int(scores.argmax()) if temperature == 0 else _draw(scores, temperature, chance)
            if token in self.stops:
                full = False
                break
            yield token
            text.append(token)
            if masks is not None:
                masks.take(0, token)
        if full or (masks is not None and masks.hurried):
            self.cut = limit_after(len(ids), self.config, self.max_length)

    def _allowed(self, masks: Masks) -> "NDArray[np.bool_]":
        """What may come next, (vocabulary,)."""
        import numpy as np

        bits = np.zeros((1, -(-self.size // 32)), np.int32)
        masks.fill([(0, 0)], bits)
        return np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self.size].view(bool)

    def _prompt(self, text: Sequence[int], length: int) -> Iterator[None]:
        """Reads a text, AT_ONCE tokens at a time, after what it shares with what was read before.

        Its first `length` tokens are the prompt.
        """
        most = min(len(self.known), len(text) - 1)  # the last token is read in any case: its scores are wanted
        self.sure = next((i for i in range(most) if self.known[i] != text[i]), most)
        self.reused = min(self.sure, length)
        self.known, self.rows = list(text[: self.sure]), self.rows[:0]
        for at in range(self.sure, len(text), AT_ONCE):
            self._read(text[at : at + AT_ONCE], len(text))
            yield None

    def _scores(self, text: Sequence[int], lookup: Lookup) -> "NDArray[np.float32]":
        """The scores after a text, (vocabulary,): read off where the model has read it already, as a right guess.

        What the text shares with what was read before is not read again. A guess is read besides.
        """
        most = min(len(self.known), len(text))
        while self.sure < most and self.known[self.sure] == text[self.sure]:
            self.sure += 1
        if self.sure == len(text) and len(self.known) - len(text) < len(self.rows):
            read: NDArray[np.float32] = self.rows[len(text) - len(self.known) - 1]
            return read
        self.sure = min(self.sure, len(text) - 1)  # the last token is read in any case: its scores are wanted
        self.known, self.rows = list(text[: self.sure]), self.rows[:0]
        room = min(self.max_length - len(text), AT_ONCE - len(text) + self.sure)
        guess = lookup.guess(text)[: max(room, 0)]
        self._read([*text[self.sure :], *guess], len(text) + len(guess), 1 + len(guess))
        found: NDArray[np.float32] = self.rows[0]
        return found

    def _read(self, ids: Sequence[int], end: int, scored: int = 1) -> None:
        """Go on in the decoder; the last `scored` tokens before `end`, where the text ends, get scores."""
        decoder = self.decoder.result()
        for at in range(0, len(ids), AT_ONCE):
            part, before = ids[at : at + AT_ONCE], len(self.known)
            if before + len(part) < end:
                decoder.read_on(part, before)
            else:
                self.rows = decoder.read(part, before)[-scored:, : self.size]
            self.known += part

    def _open(self) -> Decoder:
        """A decoder with its own cache. Raises StaleError for a damaged folder."""
        try:
            return Decoder(self.folder, self.max_length)
        except Exception as error:  # one kind of error for whatever is wrong with the files
            why = f"{self.folder}: cannot be opened: {first_line(error)}"
            raise StaleError(why, "run copilot export again, or set model.runtime=transformers") from None


def _draw(scores: "NDArray[np.floating]", temperature: float, chance: Any) -> int:
    """A token by its probability at this temperature."""
    import numpy as np

    weights = np.exp((scores - scores.max()).astype(np.float64) / temperature)
    return int(chance.choice(len(weights), p=weights / weights.sum()))
