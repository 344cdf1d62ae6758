"""A question in; hits, prompt, text and a finished Answer out, alone and streamed or many at once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from copilot.answering.identifiers import nameable, sayable
from copilot.config import AnswerPart, Prompt
from copilot.model.generator import Generator
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import render
from copilot.prompt.sections import parse
from copilot.types import Answer, Hit, Message, Section, Usage


@dataclass(frozen=True, slots=True)
class Answerer:
    """What turns questions into answers; `retrieve` None answers from general knowledge."""

    generator: Generator
    retrieve: Callable[[str], list[Hit]] | None
    prompt: Prompt
    config: AnswerPart
    model: str
    adapter: str | None

    def ask(self, question: str, on_text: Callable[[str], None] = lambda piece: None) -> Answer:
        """One answer; `on_text` gets it piece by piece as it is written."""
        began = time.monotonic()
        hits, messages = self._prompt(question)
        pieces: list[str] = []
        first = 0.0
        for piece in self.generator.stream(messages, self._grammar(question, hits)):
            if piece and not first:
                first = time.monotonic() - began
            pieces.append(piece)
            on_text(piece)
        text = "".join(pieces).strip()
        tokens = self.generator.count_text(text)
        usage = Usage(self.generator.count(messages), tokens, first, time.monotonic() - began)
        return self._answer(question, text, hits, usage)

    def ask_all(self, questions: Sequence[str], step: Callable[[int], None] = lambda n: None) -> list[Answer]:
        """All answers, in order; times are the batch's mean."""
        began = time.monotonic()
        prompts = [self._prompt(question) for question in questions]
        grammars = [self._grammar(question, hits) for question, (hits, _) in zip(questions, prompts, strict=True)]
        held = [grammar for grammar in grammars if grammar is not None]
        texts = self.generator.batch([messages for _, messages in prompts], step, held or None)
        each = (time.monotonic() - began) / max(len(questions), 1)
        return [
            self._answer(question, made.text, hits, Usage(made.prompt_tokens, made.completion_tokens, each, each))
            for question, (hits, _), made in zip(questions, prompts, texts, strict=True)
        ]

    def _prompt(self, question: str) -> tuple[list[Hit], list[Message]]:
        hits = self.retrieve(question) if self.retrieve else []
        passages = [hit.chunk.passage for hit in hits] if self.retrieve else None
        return hits, render(question, passages, self.prompt, self.config)

    def _grammar(self, question: str, hits: Sequence[Hit]) -> str | None:
        """What the answer is held to; without passages no name can be checked, so its shape alone."""
        if self.config.enforce == "off":
            return None
        names = words = None
        if self.retrieve and self.config.enforce == "structure+identifiers":
            context = "\n".join([*(hit.chunk.passage for hit in hits), question])
            names, words = nameable(context), sayable(context)
        return answer_grammar(self.config.sections, names, self.config.refuse or not self.retrieve, words)

    def _answer(self, question: str, text: str, hits: Sequence[Hit], usage: Usage) -> Answer:
        sections = parse(text, self.config.sections) or loose_sections(text)
        return Answer(question, text, sections, tuple(hits), self.model, self.adapter, usage)


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
