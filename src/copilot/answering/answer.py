"""A question in; hits, prompt, text and a finished Answer out, alone and streamed or many at once."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from copilot.answering.abstained import abstained
from copilot.answering.asked import Judge, read_question
from copilot.answering.check import check
from copilot.answering.citations import Citing
from copilot.answering.explaining import Explaining
from copilot.answering.identifiers import quotable, sayable
from copilot.answering.marks import FENCE, Marker, Unnumbered, marked
from copilot.answering.quoting import offered
from copilot.answering.refusal import refusal, shaped
from copilot.answering.repair import Repaired, ask_again, repair_messages, to_repair
from copilot.answering.said import Fill, Once
from copilot.config import AnswerPart, Prompt
from copilot.errors import CopilotError
from copilot.model.generator import Generated, Generator
from copilot.prompt.grammar import answer_grammar
from copilot.prompt.quotes import quoting_grammar
from copilot.prompt.render import render
from copilot.prompt.sections import MARK, parse
from copilot.reading.glossary import Term
from copilot.types import Abstention, Answer, Explanation, Finding, Hit, Message, Section, Usage

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
    files: Mapping[str, Path] = field(default_factory=dict)  # document path → file, for the lines of sources
    glossary: Sequence[Term] = ()  # for a reader who needs it
    repair: bool = False  # whether findings go back once: for a model that no grammar can hold
    doubt: Callable[[str], Abstention | None] | None = None  # what is refused before the model writes; None: nothing
    fill: Callable[[str, Sequence[Hit], AnswerPart], Fill] | None = None  # what a held text leaves empty; None: nothing
    judge: Judge | None = None  # how likely a sentence answers; None: by shared words

    def ask(self, question: str, on_text: Callable[[str], None] = lambda piece: None) -> Answer:
        """One answer; `on_text` gets it piece by piece as it is written, with its markers and explanations.

        What `on_text` raises ends the answer, and the model's work on it; while nothing can be shown it gets "".
        """
        began = time.monotonic()
        hits, messages = self._prompt(question)
        citing = Citing(hits, self.files)
        marker = Marker(citing.cite, on_text, Explaining(self.glossary, hits).explain)
        refused = self._refused(question)
        said, bare = None if refused else self._said(question, hits), Unnumbered(len(hits))
        pieces: list[str] = []  # as they were written
        shown: list[str] = []
        first = 0.0
        for piece in self._stream(question, hits, messages):
            pieces.append(piece)
            piece = bare.feed(piece)
            shown.append(said.feed(piece) if said else piece)
            if not first and _begun("".join(shown)):
                first = time.monotonic() - began
            if shown[-1] and not self.repair:
                marker.feed(shown[-1])
            else:  # a text that may be taken back is not shown
                on_text("")
        rest = bare.end()
        shown.append(said.feed(rest) + said.end() if said else rest)
        if not self.repair:
            marker.feed(shown[-1])
        text = "".join(shown).strip()
        read = 0 if refused else self.generator.count(messages)
        reused = 0 if refused else self.generator.reused
        written = self.generator.count_text("".join(pieces).strip())
        (final,) = self._repaired([(question, text, hits, messages)])
        final = replace(final, filled=tuple(said.filled) if said and self.fill else None)
        if self.repair:
            marker.feed(final.text)
        marker.end()
        seconds = time.monotonic() - began
        usage = Usage(read + final.read, written + final.written, first, seconds, reused)
        return self._answer(question, final, citing, usage)

    def ask_all(self, questions: Sequence[str], step: Callable[[int], None] = lambda n: None) -> list[Answer]:
        """All answers, in order; times are the batch's mean."""
        began = time.monotonic()
        prompts = [self._prompt(question) for question in questions]
        made = self._batch(questions, prompts, step)
        shown = [self._once(*row) for row in zip(questions, made, prompts, strict=True)]
        asked = zip(questions, shown, prompts, strict=True)
        final = self._repaired([(question, text, *prompt) for question, (text, _), prompt in asked])
        final = [replace(last, filled=filled) for last, (_, filled) in zip(final, shown, strict=True)]
        each = (time.monotonic() - began) / max(len(questions), 1)
        answers = []
        for question, m, last, (hits, _) in zip(questions, made, final, prompts, strict=True):
            usage = Usage(m.prompt_tokens + last.read, m.completion_tokens + last.written, each, each, m.reused)
            answers.append(self._answer(question, last, Citing(hits, self.files), usage))
        return answers

    def _repaired(self, asked: Sequence[tuple[str, str, list[Hit], list[Message]]]) -> list[Repaired]:
        """What stands after one more round for each (question, text, hits, messages) with findings.

        The second text stands unless it has more findings than the first; its cost counts either way. Where the round
        fails, the first text stands with its findings.
        """
        held = [self.repair and not self._refused(question) for question, *_ in asked]
        before = [self._found(*part[:3]) if wanted else [] for part, wanted in zip(asked, held, strict=True)]
        wrong = [n for n, found in enumerate(before) if found]
        results = [Repaired(text) for _, text, _, _ in asked]
        talks = [repair_messages(asked[n][3], asked[n][1], before[n], self.config) for n in wrong]
        for n, made in zip(wrong, ask_again(self.generator, talks), strict=True):
            question, text, hits, _ = asked[n]
            if isinstance(made, CopilotError):
                results[n] = Repaired(text, note=f"A better answer was asked for in vain: {made.message}")
                continue
            again = Unnumbered(len(hits)).whole(made.text)
            better = len(self._found(question, again, hits)) <= len(before[n])
            results[n] = Repaired(again if better else text, made.prompt_tokens, made.completion_tokens)
        return results

    def _found(self, question: str, text: str, hits: Sequence[Hit]) -> list[Finding]:
        """The findings that a repair is asked for."""
        sections = parse(text, self.config.sections) or loose_sections(text)
        return to_repair(check(text, sections, hits if self.retrieve else None, question, self.config), self.config)

    def _stream(self, question: str, hits: Sequence[Hit], messages: Sequence[Message]) -> Iterator[str]:
        """What the model writes, or the refusal of a doubted question."""
        if refused := self._refused(question):
            yield refusal(question, hits, refused.unknown, self.config.sections)
        else:
            yield from self._shaped(question, hits, self.generator.stream(messages, self._grammar(question, hits)))

    def _shaped(self, question: str, hits: Sequence[Hit], pieces: Iterator[str]) -> Iterator[str]:
        """The pieces of what a model writes; a refusal in our words, where it may refuse."""
        may = self.retrieve and self.config.refuse and self.config.enforce != "off"
        return shaped(question, pieces, hits, self.config.sections) if may else pieces

    def _said(self, question: str, hits: Sequence[Hit]) -> Once | None:
        """What a text passes that is held to a grammar: it is shown without what it says twice, and without holes."""
        if self.config.enforce == "off" or self.repair:
            return None
        context = _context(question, hits)
        titles = self.config.sections
        return Once(self.fill(question, hits, self.config), context, titles) if self.fill else Once(context=context)

    def _once(
        self, question: str, made: Generated, prompt: tuple[list[Hit], list[Message]]
    ) -> tuple[str, tuple[str, ...] | None]:
        """(what is shown of a whole text, which sections of it were filled by rule)."""
        hits, refused = prompt[0], self._refused(question)
        written = made.text if refused else "".join(self._shaped(question, hits, iter([made.text])))
        written = Unnumbered(len(hits)).whole(written)
        said = None if refused else self._said(question, hits)
        if said is None:
            return written.strip(), None
        text = said.whole(written).strip()
        return text, tuple(said.filled) if self.fill else None

    def _batch(
        self, questions: Sequence[str], prompts: Sequence[tuple[list[Hit], list[Message]]], step: Callable[[int], None]
    ) -> list[Generated]:
        """The same of many questions; the model reads only those that are not doubted."""
        asked = list(zip(questions, prompts, strict=True))
        made: dict[int, Generated] = {}
        for n, (question, (hits, _)) in enumerate(asked):
            if refused := self._refused(question):
                text = refusal(questions[n], hits, refused.unknown, self.config.sections)
                made[n] = Generated(text, 0, self.generator.count_text(text))
        step(len(made))
        rest = [n for n in range(len(asked)) if n not in made]
        grammars = [self._grammar(asked[n][0], asked[n][1][0]) for n in rest]
        held = [grammar for grammar in grammars if grammar is not None]
        written = self.generator.batch([asked[n][1][1] for n in rest], step, held or None) if rest else []
        made |= dict(zip(rest, written, strict=True))
        return [made[n] for n in range(len(asked))]

    def _refused(self, question: str) -> Abstention | None:
        """Why nothing is answered; a question for a term of the glossary always is."""
        if not self.doubt:
            return None
        asked = read_question(question, ())
        return None if any(asked.is_for(term.name) for term in self.glossary) else self.doubt(question)

    def _prompt(self, question: str) -> tuple[list[Hit], list[Message]]:
        hits = self.retrieve(question) if self.retrieve else []
        passages = [hit.chunk.passage for hit in hits] if self.retrieve else None
        return hits, render(question, passages, self.prompt, self.config)

    def _grammar(self, question: str, hits: Sequence[Hit]) -> str | None:
        """What the answer is held to; without passages no name can be checked, so its shape alone."""
        if self.config.enforce == "off":
            return None
        may_refuse = self.config.refuse or not self.retrieve
        if not self.retrieve or self.config.enforce == "structure":
            return answer_grammar(self.config.sections, None, may_refuse)
        if self.config.enforce == "quotes" and (parts := offered(question, hits, self.config, self.judge)):
            return quoting_grammar(self.config.sections, parts)
        context = _context(question, hits)
        names: Sequence[str] = quotable(context)
        words, numbers = sayable(context)
        return answer_grammar(self.config.sections, names, may_refuse, words, numbers)

    def _answer(self, question: str, final: Repaired, citing: Citing, usage: Usage) -> Answer:
        """What is shown of a text, whoever wrote it: in sections, cited, explained and checked."""
        text, hits = final.text, tuple(citing.hits)
        sections = parse(text, self.config.sections) or loose_sections(text)
        citations = tuple(citing.cite(section.text) if section.text else None for section in sections)
        explain = Explaining(self.glossary, hits).explain
        glossary = tuple(
            Explanation(term, meaning, section.title)
            for section, citation in zip(sections, citations, strict=True)
            for term, meaning in explain(section.text, citation)
        )
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
            findings=check(text, sections, hits if self.retrieve else None, question, self.config),
            marked=marked(text, citing.cite, Explaining(self.glossary, hits).explain),
            abstained=self._refused(question) or (BY_MODEL if abstained(text) else None),
            glossary=glossary,
            note=final.note,
            filled=final.filled,
        )


def _context(question: str, hits: Sequence[Hit]) -> str:
    """All that an answer may take its names and words from."""
    return "\n".join([*(hit.chunk.passage for hit in hits), question])


def _begun(text: str) -> bool:
    """Whether a text has a word below its heading, which may stand there before the prompt is read."""
    return any(line.strip("# ") and not line.startswith(MARK) for line in text.splitlines())


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
