"""A question in; hits, prompt, text and a finished Answer out, alone and streamed or many at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from copilot.answering.check import check
from copilot.answering.citations import Citing
from copilot.answering.glossary import explained
from copilot.answering.identifiers import nameable, sayable
from copilot.answering.marks import FENCE, Marker, marked
from copilot.answering.repair import repair_messages, to_repair
from copilot.config import AnswerPart, Prompt
from copilot.model.generator import Generator
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.render import render
from copilot.prompt.sections import MARK, parse
from copilot.types import Answer, Finding, Hit, Message, Section, Usage


@dataclass(frozen=True, slots=True)
class Answerer:
    """What turns questions into answers; `retrieve` None answers from general knowledge."""

    generator: Generator
    retrieve: Callable[[str], list[Hit]] | None
    prompt: Prompt
    config: AnswerPart
    model: str
    adapter: str | None
    files: Mapping[str, Path] = field(default_factory=dict)  # document path → file, for the lines of sources
    glossary: Mapping[str, str] = field(default_factory=dict)  # term → what it means, for a reader who needs it
    repair: bool = False  # whether findings go back once: for a model that no grammar can hold

    def ask(self, question: str, on_text: Callable[[str], None] = lambda piece: None) -> Answer:
        """One answer; `on_text` gets it piece by piece as it is written, with the markers of its sources."""
        began = time.monotonic()
        hits, messages = self._prompt(question)
        citing = Citing(hits, self.files)
        marker = Marker(citing.cite, on_text)
        feed = (lambda piece: None) if self.repair else marker.feed  # a text that may be taken back is not shown
        pieces: list[str] = []
        first = 0.0
        for piece in self.generator.stream(messages, self._grammar(question, hits)):
            if piece and not first:
                first = time.monotonic() - began
            pieces.append(piece)
            feed(piece)
        text = "".join(pieces).strip()
        read, written = self.generator.count(messages), self.generator.count_text(text)
        if self.repair:
            ((text, more_read, more_written),) = self._repaired([(question, text, hits, messages)])
            read, written = read + more_read, written + more_written
            marker.feed(text)
        marker.end()
        return self._answer(question, text, citing, Usage(read, written, first, time.monotonic() - began))

    def ask_all(self, questions: Sequence[str], step: Callable[[int], None] = lambda n: None) -> list[Answer]:
        """All answers, in order; times are the batch's mean."""
        began = time.monotonic()
        prompts = [self._prompt(question) for question in questions]
        grammars = [self._grammar(question, hits) for question, (hits, _) in zip(questions, prompts, strict=True)]
        held = [grammar for grammar in grammars if grammar is not None]
        made = self.generator.batch([messages for _, messages in prompts], step, held or None)
        asked = zip(questions, made, prompts, strict=True)
        final = self._repaired([(question, m.text, *prompt) for question, m, prompt in asked])
        each = (time.monotonic() - began) / max(len(questions), 1)
        answers = []
        for question, m, (text, read, written), (hits, _) in zip(questions, made, final, prompts, strict=True):
            usage = Usage(m.prompt_tokens + read, m.completion_tokens + written, each, each)
            answers.append(self._answer(question, text, Citing(hits, self.files), usage))
        return answers

    def _repaired(self, asked: Sequence[tuple[str, str, list[Hit], list[Message]]]) -> list[tuple[str, int, int]]:
        """(text, tokens read, tokens written) of one more round for (question, text, hits, messages) with findings.

        The second text stands unless it has more findings than the first; its cost counts either way.
        """
        before = [self._found(question, text, hits) for question, text, hits, _ in asked]
        wrong = [n for n, found in enumerate(before) if self.repair and found]
        results = [(text, 0, 0) for _, text, _, _ in asked]
        talks = [repair_messages(asked[n][3], asked[n][1], before[n], self.config) for n in wrong]
        again = self.generator.batch(talks, lambda done: None) if talks else []
        for n, made in zip(wrong, again, strict=True):
            question, text, hits, _ = asked[n]
            better = len(self._found(question, made.text, hits)) <= len(before[n])
            results[n] = (made.text if better else text, made.prompt_tokens, made.completion_tokens)
        return results

    def _found(self, question: str, text: str, hits: Sequence[Hit]) -> list[Finding]:
        """The findings that a repair is asked for."""
        sections = parse(text, self.config.sections) or loose_sections(text)
        return to_repair(check(text, sections, hits if self.retrieve else None, question, self.config), self.config)

    def _prompt(self, question: str) -> tuple[list[Hit], list[Message]]:
        hits = self.retrieve(question) if self.retrieve else []
        passages = [hit.chunk.passage for hit in hits] if self.retrieve else None
        return hits, render(question, passages, self.prompt, self.config)

    def _grammar(self, question: str, hits: Sequence[Hit]) -> str | None:
        """What the answer is held to; without passages no name can be checked, so its shape alone."""
        if self.config.enforce == "off":
            return None
        names: Sequence[str] | None = None
        words: Sequence[str] | None = None
        numbers: Sequence[str] = ()
        if self.retrieve and self.config.enforce == "structure+identifiers":
            context = "\n".join([*(hit.chunk.passage for hit in hits), question])
            names, (words, numbers) = nameable(context), sayable(context)
        may_refuse = self.config.refuse or not self.retrieve
        return answer_grammar(self.config.sections, names, may_refuse, words, numbers)

    def _answer(self, question: str, text: str, citing: Citing, usage: Usage) -> Answer:
        sections, hits = parse(text, self.config.sections) or loose_sections(text), tuple(citing.hits)
        citations = tuple(citing.cite(section.text) if section.text else None for section in sections)
        return Answer(
            question,
            text,
            sections,
            hits,
            self.model,
            self.adapter,
            usage,
            citations,
            citing.sources(),
            check(text, sections, hits if self.retrieve else None, question, self.config),
            marked(text, citing.cite),
            explained("\n".join(section.text for section in sections), self.glossary),
        )


def loose_sections(text: str) -> tuple[Section, ...]:
    """The sections of a text that does not have the configured shape, as it has them: nothing is hidden."""
    found: list[tuple[str, list[str]]] = [("", [])]
    fenced = False
    for line in text.splitlines():
        if line.startswith(MARK) and not fenced:
            found.append((line.removeprefix(MARK).strip(), []))
        else:
            fenced ^= line.lstrip().startswith(FENCE)
            found[-1][1].append(line)
    parts = [Section(title, "\n".join(lines).strip()) for title, lines in found]
    return tuple(part for part in parts if part.title or part.text)
