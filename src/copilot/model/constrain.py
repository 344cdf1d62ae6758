"""A grammar for each row of a batch in; a logits processor for transformers out, so that each text obeys its own.

Masks: llguidance (about 50 microseconds a token). Besides, nothing of NGRAM tokens is written twice in a section and
no short loop goes on, which is how a small model gets out of it, and a section ends in time for those after it.
"""

from collections.abc import Sequence
from typing import Any

from copilot.errors import CopilotError

NGRAM = 12  # tokens
PERIODS = 4  # tokens of the longest loop that is stopped at its fourth turn
RESERVE = 40  # tokens kept for each section that is still to come
TAIL = 16  # tokens before the end of its room at which a section closes
SPAN = 32  # tokens before that at which no further name is begun


class Vocabulary:
    """A tokenizer as llguidance needs it, and which of its tokens end a line, a section or a text."""

    def __init__(self, tokenizer: Any, size: int, stops: set[int]) -> None:
        """`size` is the width of the model's scores. Raises CopilotError for a tokenizer without a fast version."""
        import numpy as np
        from llguidance.hf import from_tokenizer

        if not getattr(tokenizer, "is_fast", False):
            what = "the model's tokenizer has no fast version, which is needed to hold answers to their shape"
            raise CopilotError(what, "set answer.enforce=off, or use a model with a tokenizer.json")
        self.engine = from_tokenizer(tokenizer, n_vocab=size, eos_token=sorted(stops))
        self.stops = np.isin(np.arange(size), sorted(stops))
        known = [[i] for i in range(min(size, len(tokenizer)))]
        texts = tokenizer.backend_tokenizer.decode_batch(known, skip_special_tokens=False) + [""] * (size - len(known))
        self.line_end = np.array(["\n" in text for text in texts])
        self.section_end = np.array(["\n\n" in text for text in texts])
        self.ticks = np.array([text.count("`") for text in texts])


class Constraint:
    """What each row of a batch may write next: called with ids (rows, tokens) and scores (rows, vocab)."""

    def __init__(self, vocabulary: Vocabulary, grammars: Sequence[str], sections: int, prompt: int, room: int) -> None:
        """`prompt` and `room` are the tokens before the answers and the most that an answer may have."""
        self.vocabulary, self.at = vocabulary, prompt
        self.rows = [_Row(vocabulary, grammar, sections, room) for grammar in grammars]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores with -inf for every token that a row may not write."""
        import numpy as np
        import torch

        for row, tokens in zip(self.rows, input_ids[:, self.at :].tolist(), strict=True):
            row.take(tokens)
        self.at = input_ids.shape[1]
        allowed = np.stack([row.allowed() for row in self.rows])  # (rows, vocab)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))


class _Row:
    """How far one text has come."""

    def __init__(self, vocabulary: Vocabulary, grammar: str, sections: int, room: int) -> None:
        from llguidance import LLMatcher

        self.vocabulary = vocabulary
        self.matcher = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(grammar))
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())
        self.to_come, self.room = sections - 1, room  # sections after this one; tokens left
        self.written: list[int] = []  # in this section
        self.seen: dict[tuple[int, ...], set[int]] = {}  # beginning of an n-gram of this section → what followed
        self.ticks = 0  # odd inside a name

    def take(self, tokens: Sequence[int]) -> None:
        """Go on after `tokens`; what follows a finished text is padding."""
        for token in tokens:
            if self.matcher.is_stopped() or not self.matcher.consume_token(token):
                return
            self.room -= 1
            self.ticks += int(self.vocabulary.ticks[token])
            line_end = self.vocabulary.line_end
            blank = len(self.written) > 0 and line_end[self.written[-1]] and line_end[token]
            self.written.append(token)
            if self.vocabulary.section_end[token] or blank:
                self.to_come, self.written, self.seen = self.to_come - 1, [], {}
            elif len(self.written) >= NGRAM:
                self.seen.setdefault(tuple(self.written[-NGRAM:-1]), set()).add(token)

    def allowed(self) -> Any:
        """Which tokens may come next, (vocab,) of bool; never none."""
        import numpy as np

        stops = self.vocabulary.stops
        if self.matcher.is_stopped():
            return stops
        bits = np.unpackbits(np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        mask = bits[: len(stops)].astype(bool)
        narrower = mask.copy()
        narrower[list(self.seen.get(tuple(self.written[1 - NGRAM :]), ()))] = False
        for period in range(1, PERIODS + 1):  # three times the same is enough
            if len(self.written) >= 3 * period and self.written[-3 * period :] == self.written[-period:] * 3:
                narrower[self.written[-period]] = False
        choices = [narrower]
        spare = self.room - self.to_come * RESERVE - TAIL
        if spare <= SPAN and self.ticks % 2 == 0:
            choices = [narrower & (self.vocabulary.ticks == 0), *choices]
        if spare <= 0:
            endings = (self.vocabulary.section_end, self.vocabulary.line_end) if self.to_come else (stops,)
            choices = [mask & ending for ending in endings] + choices
        return next((choice for choice in choices if choice.any()), mask)
