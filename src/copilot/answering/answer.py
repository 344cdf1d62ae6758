"""A question in; hits, prompt, text and a finished Answer out, alone and streamed or many at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from copilot.answering.identifiers import nameable
from copilot.answering.refusal import abstained, refusal
from copilot.config import AnswerPart, Prompt
from copilot.model.generator import Generated, Generator
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import render
from copilot.prompt.sections import parse
from copilot.types import Abstention, Answer, Hit, Message, Section, Usage

BY_MODEL = Abstention("model", None, None, "the answer opens by saying that the documents do not say")


@dataclass(frozen=True, slots=True)
class Answerer:
    """What turns questions into answers; `retrieve` None answers from general knowledge."""

    generator: Generator
    retrieve: Callable[[str], list[Hit]] | None
    prompt: Prompt
    config: AnswerPart
    model: str
    adapter: str | None
    doubt: Callable[[str], Abstention | None] | None = None  # what is refused before the model writes; None: nothing

    def ask(self, question: str, on_text: Callable[[str], None] = lambda piece: None) -> Answer:
        """One answer; `on_text` gets it piece by piece as it is written."""
        began = time.monotonic()
        hits, messages = self._prompt(question)
        pieces: list[str] = []
        first = 0.0
        for piece in self._stream(question, hits, messages):
            if piece and not first:
                first = time.monotonic() - began
            pieces.append(piece)
            on_text(piece)
        text = "".join(pieces).strip()
        tokens = self.generator.count_text(text)
        read = 0 if self._refused(question) else self.generator.count(messages)
        usage = Usage(read, tokens, first, time.monotonic() - began)
        return self._answer(question, text, hits, usage)

    def ask_all(self, questions: Sequence[str], step: Callable[[int], None] = lambda n: None) -> list[Answer]:
        """All answers, in order; times are the batch's mean."""
        began = time.monotonic()
        prompts = [self._prompt(question) for question in questions]
        texts = self._batch(questions, prompts, step)
        each = (time.monotonic() - began) / max(len(questions), 1)
        return [
            self._answer(question, made.text, hits, Usage(made.prompt_tokens, made.completion_tokens, each, each))
            for question, (hits, _), made in zip(questions, prompts, texts, strict=True)
        ]

    def _stream(self, question: str, hits: Sequence[Hit], messages: Sequence[Message]) -> Iterator[str]:
        """What the model writes, or the refusal of a doubted question."""
        if refused := self._refused(question):
            yield refusal(hits, refused.unknown, self.config.sections)
        else:
            yield from self.generator.stream(messages, self._grammar(question, hits))

    def _batch(
        self, questions: Sequence[str], prompts: Sequence[tuple[list[Hit], list[Message]]], step: Callable[[int], None]
    ) -> list[Generated]:
        """The same of many questions; the model reads only those that are not doubted."""
        asked = list(zip(questions, prompts, strict=True))
        made: dict[int, Generated] = {}
        for n, (question, (hits, _)) in enumerate(asked):
            if refused := self._refused(question):
                text = refusal(hits, refused.unknown, self.config.sections)
                made[n] = Generated(text, 0, self.generator.count_text(text))
        step(len(made))
        rest = [n for n in range(len(asked)) if n not in made]
        grammars = [self._grammar(asked[n][0], asked[n][1][0]) for n in rest]
        held = [grammar for grammar in grammars if grammar is not None]
        written = self.generator.batch([asked[n][1][1] for n in rest], step, held or None) if rest else []
        made |= dict(zip(rest, written, strict=True))
        return [made[n] for n in range(len(asked))]

    def _refused(self, question: str) -> Abstention | None:
        return self.doubt(question) if self.doubt else None

    def _prompt(self, question: str) -> tuple[list[Hit], list[Message]]:
        hits = self.retrieve(question) if self.retrieve else []
        passages = [hit.chunk.passage for hit in hits] if self.retrieve else None
        return hits, render(question, passages, self.prompt, self.config)

    def _grammar(self, question: str, hits: Sequence[Hit]) -> str | None:
        """What the answer is held to; without passages no name can be checked, so its shape alone."""
        if self.config.enforce == "off":
            return None
        names = None
        if self.retrieve and self.config.enforce == "structure+identifiers":
            names = nameable("\n".join([*(hit.chunk.passage for hit in hits), question]))
        return answer_grammar(self.config.sections, names, self.config.refuse or not self.retrieve)

    def _answer(self, question: str, text: str, hits: Sequence[Hit], usage: Usage) -> Answer:
        sections = parse(text, self.config.sections) or loose_sections(text)
        gave_up = self._refused(question) or (BY_MODEL if abstained(text) else None)
        return Answer(question, text, sections, tuple(hits), self.model, self.adapter, usage, gave_up)


def loose_sections(text: str) -> tuple[Section, ...]:
    """The sections of a text that does not have the configured shape, as it has them: nothing is hidden."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if line.startswith("### "):
            found.append((line[4:].strip(), []))
        else:
            found[-1][1].append(line)
    parts = [Section(title, "\n".join(lines).strip()) for title, lines in found]
    return tuple(part for part in parts if part.title or part.text)


def sources(hits: Sequence[Hit]) -> list[str]:
    """`file › heading › page n` of each hit, in order, each once."""
    lines = []
    for hit in hits:
        chunk = hit.chunk
        page = f" › page {chunk.page}" if chunk.page else ""
        lines.append(" › ".join(part for part in (chunk.document, chunk.heading) if part) + page)
    return list(dict.fromkeys(lines))
