"""A grammar for each text in; which tokens it may go on with out: as bits for our own decoding, or on scores.

Masks: llguidance, several texts at once on their own cores. It is given prose without its longest length, since each
count of characters would be a state of its own (2 ms a token with 128k tokens; 40 microseconds so); that length is held
here, and free prose is made a slice of the vocabulary that is allowed or refused as one. Besides, a section ends where
it says a line, a sentence or NGRAM tokens again or goes round in a loop, and within its budget and in time for those
after it, at the end of a sentence or line if there is one. A model is led to an ending first, and only then to other
words: pushed off its path, a small one writes nonsense. All of it works on 32 tokens a word: a vocabulary of 128k
tokens is 16 kB.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from copilot.errors import CopilotError
from copilot.prompt.grammar import LINE, WORDS

PROSE = r"[^`\x00-\x1f\x7f]"  # a character of prose, and how a line of it begins
BEGIN = r"[^`#\s\x00-\x1f\x7f]"
NGRAM = 6  # tokens, white space aside, that no section holds twice
PERIODS = 4  # tokens of the longest loop that is stopped at its fourth turn
RESERVE = 40  # tokens kept for each section that is still to come
TAIL = 16  # tokens before the end of its room at which a section closes, or as many as its longest name has
CLOSE = 24  # tokens before that from which the end of a sentence or line is the section's
SENTENCE = 12  # characters before a full stop that make it one: not those of "1."
_PLAIN = re.compile(r"[^\d`/_\\<>{}\[\]@#$%^&+=|~]*")  # no part of a number, a path or another name in prose


class Vocabulary:
    """A tokenizer as llguidance needs it, and which of its tokens end a line, a section or a text."""

    def __init__(self, tokenizer: Any, size: int, stops: set[int]) -> None:
        """`tokenizer` is one of the tokenizers library, or of transformers over one; `size` the width of the scores.

        Raises CopilotError for a tokenizer of transformers without a fast version.
        """
        import numpy as np
        from llguidance import LLExecutor, LLTokenizer

        if not getattr(tokenizer, "is_fast", True):
            what = "the model's tokenizer has no fast version, which is needed to hold answers to their shape"
            raise CopilotError(what, "set answer.enforce=off, or use a model with a tokenizer.json")
        bare = getattr(tokenizer, "backend_tokenizer", tokenizer)
        slices = [f"{BEGIN}{PROSE}*", f"{PROSE}+"]
        self.engine = LLTokenizer(unspelt(bare.to_str()), n_vocab=size, eos_token=sorted(stops), slices=slices)
        self.executor = LLExecutor()
        self.size = size
        known = [[i] for i in range(min(size, bare.get_vocab_size(with_added_tokens=True)))]
        texts = bare.decode_batch(known, skip_special_tokens=False) + [""] * (size - len(known))
        self.line_end = np.array(["\n" in text for text in texts])
        self.section_end = np.array(["\n\n" in text for text in texts])
        self.ticks = np.array([text.count("`") for text in texts])
        self.stop_bits = packed(np.isin(np.arange(size), sorted(stops)))
        self.line_bits, self.section_bits = packed(self.line_end), packed(self.section_end)
        self.tickless_bits = packed(self.ticks == 0)
        self.plain = np.array([_PLAIN.fullmatch(text) is not None for text in texts])
        self.plain_bits = packed(self.plain)
        self.texts = texts
        self.solid = np.array([bool(text.strip()) for text in texts])
        self.ending_bits = self.stop_bits | self.line_bits
        self.going_bits = packed(~self.line_end | self.section_end)  # all but the end of a line alone
        self.full_stop = np.array([text.rstrip(" ")[-1:] in (".", "!", "?") for text in texts])
        self.lengths = np.array([len(text) for text in texts])
        self.breaks = self.line_end | (self.ticks > 0)  # whether a stretch of prose ends in the token
        self.before, self.after = self.lengths.copy(), self.lengths.copy()  # characters before its first break ...
        for token in np.flatnonzero(self.breaks):
            first, *_, last = re.split("[`\n]", texts[token])
            self.before[token], self.after[token] = len(first), len(last)  # ... and after the last
        self.before[sorted(stops)] = 0
        self.longest = int(self.before.max())
        self.short: dict[int, Any] = {}

    def within(self, room: int) -> Any:
        """The tokens, as bits, whose prose before its end has no more than `room` characters."""
        if room not in self.short:
            self.short[room] = packed(self.before <= room)
        return self.short[room]

    def longest_of(self, mask: Any) -> Any:
        """Of the tokens in a mask, the longest: what is begun ends soonest with them."""
        import numpy as np

        allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[: self.size].view(bool)
        return packed(allowed & (self.lengths == self.lengths[allowed].max(initial=0)))


def unspelt(tokenizer: str) -> str:
    """A tokenizer.json whose special tokens have names that no text spells, without padding and truncation.

    llguidance writes for a model what a grammar leaves no choice in, and so reads names such as `</s>` with it: they
    must not become the special token.
    """
    data = json.loads(tokenizer)
    names = {token["content"]: f"\ufdd0{token['id']}" for token in data["added_tokens"] if token["special"]}
    for token in data["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    vocabulary = data["model"].get("vocab")
    if isinstance(vocabulary, dict):
        data["model"]["vocab"] = {names.get(name, name): number for name, number in vocabulary.items()}
    return json.dumps({**data, "padding": None, "truncation": None, "post_processor": None}, ensure_ascii=False)


def unbounded(grammar: str) -> str:
    """A grammar of answers whose stretches of prose may have any length; `narrow` holds them to LINE characters."""
    lines = grammar.splitlines(keepends=True)
    bounds = {f"{{0,{LINE - 1}}}/": "*/", f"{{1,{LINE}}}/": "+/", f"{{0,{WORDS}}} ": "* ", f"{{0,{WORDS}}})?": "*)?"}
    for i, line in enumerate(lines):
        if line.startswith(("BEGIN:", "PROSE:", "WORDS:", "FREE", "BOUND")):
            for bound, free in bounds.items():
                line = line.replace(bound, free)
            lines[i] = line
    return "".join(lines)


def longest_names(grammar: str, count: int = 4) -> list[str]:
    """The longest of what the grammar lets stand as one: names, and the words of locked prose."""
    named = ('NAME: "', "PATH:", "VERBAL:", "WORD:", "ROUTE:", "QUOTE")
    rules = [line for line in grammar.splitlines() if line.startswith(named)]
    found = re.findall(r'"(?:[^"\\]|\\.)*"', "\n".join(rules))
    return [json.loads(text) for text in sorted(found, key=len)[-count:]]


def packed(mask: Any) -> Any:
    """(vocab,) of bool as (vocab / 32, rounded up) of int32, the lowest bit first."""
    import numpy as np

    bits = np.packbits(mask, bitorder="little")
    return np.pad(bits, (0, -len(bits) % 4)).view(np.int32)


class Masks:
    """What each text may write next."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        grammars: Sequence[str],
        sections: int,
        rooms: Sequence[int],
        budgets: Sequence[int | None] = (),
    ) -> None:
        """`rooms` are the most tokens that each text may have, `sections` how many parts, `budgets` their most."""
        from concurrent.futures import ThreadPoolExecutor

        self.vocabulary = vocabulary
        beside = ThreadPoolExecutor(max_workers=1)  # grammars are read while the model reads the prompts
        pairs = zip(grammars, rooms, strict=True)
        self.texts = [beside.submit(_Row, vocabulary, grammar, sections, room, budgets) for grammar, room in pairs]
        beside.shutdown(wait=False)

    @property
    def hurried(self) -> bool:
        """Whether any text was made to end for want of room, and not by its budgets."""
        return any(text.result().hurried for text in self.texts)

    def take(self, request: int, token: int) -> None:
        """The text goes on with this token."""
        self._text(request).take([token])

    def fill(self, rows: Sequence[tuple[int, int]], bits: Any) -> None:
        """For each (text, row): the row of `bits` (rows, vocab / 32) of int32 is set to what may come next."""
        from llguidance.numpy import fill_next_token_bitmask, fill_next_token_bitmask_par

        texts = [(self._text(request), row) for request, row in rows]
        going = [(text.matcher, row) for text, row in texts if not text.matcher.is_stopped()]
        if len(going) > 1:
            fill_next_token_bitmask_par(self.vocabulary.executor, going, bits)
        for matcher, row in going if len(going) == 1 else ():
            fill_next_token_bitmask(matcher, bits, row)
        for text, row in texts:
            text.narrow(bits[row])

    def _text(self, request: int) -> "_Row":
        return self.texts[request].result()


class Constraint:
    """The same for transformers' generate: called with ids (rows, tokens) and scores (rows, vocab)."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        grammars: Sequence[str],
        sections: int,
        prompt: int,
        room: int,
        budgets: Sequence[int | None] = (),
    ) -> None:
        """`prompt` and `room` are the tokens before the answers and the most that an answer may have."""
        self.masks, self.at = Masks(vocabulary, grammars, sections, [room] * len(grammars), budgets), prompt

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores with -inf for every token that a row may not write."""
        import numpy as np
        import torch

        for row, tokens in enumerate(input_ids[:, self.at :].tolist()):
            for token in tokens:
                self.masks.take(row, token)
        self.at = input_ids.shape[1]
        rows, size = scores.shape
        bits = np.zeros((rows, -(-size // 32)), np.int32)
        self.masks.fill([(row, row) for row in range(rows)], bits)
        allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :size].view(bool)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))


class _Row:
    """How far one text has come."""

    def __init__(
        self, vocabulary: Vocabulary, grammar: str, sections: int, room: int, budgets: Sequence[int | None]
    ) -> None:
        from llguidance import LLMatcher

        self.vocabulary = vocabulary
        self.matcher = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(unbounded(grammar)))
        if self.matcher.is_error():
            raise ValueError(self.matcher.get_error())
        names = longest_names(grammar)
        self.tail = max([TAIL, *(len(vocabulary.engine.tokenize_str(name)) + 4 for name in names)])
        self.opens_no_name = vocabulary.plain_bits if "\nWORD: " in grammar else vocabulary.tickless_bits
        self.to_come, self.room = sections - 1, room  # sections after this one; tokens left
        self.budgets = budgets or [None] * sections
        self.hurried = False  # whether a section was made to end for want of room
        self.written: list[int] = []  # in this section
        self.said: set[str] = set()  # sentences and lines of this section
        self.saying = ""  # the one that is being written, or that was written last
        self.solid: list[int] = []  # of `written`, what is more than white space
        self.seen: dict[tuple[int, ...], set[int]] = {}  # beginning of an n-gram of that → what followed
        self.ticks = 0  # odd inside a name
        self.stretch = 0  # characters since the last backtick or line end

    def take(self, tokens: Sequence[int]) -> None:
        """Go on after `tokens`; what follows a finished text is padding."""
        for token in tokens:
            if self.matcher.is_stopped() or not self.matcher.consume_token(token):
                if self.matcher.is_error():
                    raise RuntimeError(f"the grammar of the answer broke: {self.matcher.get_error()[:200]}")
                return
            self.room -= 1
            self.ticks += int(self.vocabulary.ticks[token])
            known, line_end = self.vocabulary, self.vocabulary.line_end
            after = int(known.after[token])
            self.stretch = after if known.breaks[token] else self.stretch + after
            blank = len(self.written) > 0 and line_end[self.written[-1]] and line_end[token]
            if self.written and (line_end[self.written[-1]] or self._at_full_stop()):
                self.said.add(self.saying.strip(" -*"))
                self.saying = ""
            self.written.append(token)
            self.saying += known.texts[token].rstrip("\n")
            if known.section_end[token] or blank:
                self.to_come, self.written, self.solid = self.to_come - 1, [], []
                self.said, self.saying, self.seen = set(), "", {}
            elif known.solid[token]:
                self.solid.append(token)
                if len(self.solid) >= NGRAM:
                    self.seen.setdefault(tuple(self.solid[-NGRAM:-1]), set()).add(token)

    def narrow(self, mask: Any) -> None:
        """Of what the grammar allows, (vocab / 32,) of int32, leave what may come next; never nothing."""
        known = self.vocabulary
        if self.matcher.is_stopped():
            mask[:] = known.stop_bits
            return
        if self.ticks % 2 == 0 and LINE - self.stretch < known.longest:
            shorter = mask & known.within(max(LINE - self.stretch, 0))
            if shorter.any():
                mask[:] = shorter
        chosen = next((choice for choice in self._choices(mask) if choice.any()), mask)
        if chosen is not mask:
            mask[:] = chosen

    def _choices(self, mask: Any) -> Iterator[Any]:
        """Masks inside this one, the best first; the first that leaves anything is taken, or else all of it."""
        import numpy as np

        known = self.vocabulary
        end = known.section_bits if self.to_come else known.stop_bits
        spare, name = self._spare(), self.ticks % 2
        if spare <= 0:
            self.hurried |= self.room - self.to_come * RESERVE <= self.tail and bool(self.written)
            yield mask & end
            yield mask & known.line_bits
            yield known.longest_of(mask & self.opens_no_name)
            yield known.longest_of(mask)
        elif not name and self.written:
            sentence = self._at_full_stop()
            if (spare <= CLOSE and sentence) or self._said_before():
                yield mask & end
            if again := self._again():
                yield mask & known.ending_bits
                mask = mask & ~packed(np.isin(np.arange(known.size), sorted(again)))
            if spare <= CLOSE:
                yield mask & known.going_bits
            yield mask

    def _said_before(self) -> bool:
        return len(self.saying) >= SENTENCE and self.saying.strip(" -*") in self.said

    def _at_full_stop(self) -> bool:
        """Whether a sentence has just ended."""
        return (
            len(self.saying) >= SENTENCE and self.ticks % 2 == 0 and bool(self.vocabulary.full_stop[self.written[-1]])
        )

    def _spare(self) -> int:
        """Tokens of this section before it has to close."""
        left = self.room - self.to_come * RESERVE
        budget = self.budgets[len(self.budgets) - 1 - self.to_come] if self.to_come >= 0 else None
        return (left if budget is None else min(left, budget - len(self.written))) - self.tail

    def _again(self) -> set[int]:
        """The tokens that would say NGRAM tokens of this section again, or go on in a short loop; names may be."""
        plain, written = self.vocabulary.plain, self.written
        if not plain[written[-1]]:
            return set()
        again = set(self.seen.get(tuple(self.solid[1 - NGRAM :]), ()))
        for period in range(1, PERIODS + 1):  # three times the same is enough
            if len(written) >= 3 * period and written[-3 * period :] == written[-period:] * 3:
                again.add(written[-period])
        return {token for token in again if plain[token]}
