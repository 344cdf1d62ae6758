"""A question and its hits in; an answer of sentences and table rows copied from the best entry out, without a model.

The baseline that a language model has to beat: a Generator like any other, deterministic, at once, and without torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from copilot.answering.answer import Answerer
from copilot.answering.asked import read_question
from copilot.answering.choosing import answering_row, asked_for
from copilot.answering.quoting import MORE, OTHERS
from copilot.answering.ranking import best_entry
from copilot.answering.refusal import refusal
from copilot.answering.wording import (
    ALARM,
    Said,
    beside,
    calling,
    described,
    leaning,
    listed,
    overview,
    pointed,
    row,
    warned,
)
from copilot.config import AnswerPart, Prompt
from copilot.model.generator import Generated
from copilot.prompt.sections import MARK
from copilot.reading.glossary import Term
from copilot.types import Abstention, Hit, Message

NAME = "extractive"  # what `Answer.model` says
FIELDS, TIPS, STEPS = 8, 5, 8  # items of a section, at most
LEAST = 0.1  # share of what is asked; when the best entry holds less, the documents do not say


@dataclass(frozen=True, slots=True)
class Rules:
    """A Generator that composes by plain rules: its message is the question alone, its hits lie ready in `found`."""

    found: dict[str, list[Hit]]  # of the questions that are being asked
    config: AnswerPart
    reused: int = 0  # nothing is read, so nothing is read again

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        """The answer, whole. It has its shape and the passages' names without a grammar."""
        question = messages[-1]["content"]
        hits = self.found[question]
        bodies = compose(question, hits, self.config.refuse)
        if bodies is None:
            yield refusal(question, hits, (), self.config.sections)
            return
        bodies += ["No more is said."] * (len(self.config.sections) - len(bodies))
        parts = zip(self.config.sections, bodies, strict=False)
        yield "\n\n".join(f"{MARK}{title}\n{body}" for title, body in parts)

    def batch(
        self,
        prompts: Sequence[Sequence[Message]],
        step: Callable[[int], None],
        grammars: Sequence[str] | None = None,
    ) -> list[Generated]:
        """All answers, in order."""
        made = []
        for messages in prompts:
            made.append(Generated("".join(self.stream(messages)), 0, 0))
            step(1)
        return made

    def count(self, messages: Sequence[Message]) -> int:
        """No tokens: nothing is read by a model."""
        return 0

    def count_text(self, text: str) -> int:
        """No tokens: nothing is written by a model."""
        return 0


def extractive(
    retrieve: Callable[[str], list[Hit]],
    config: AnswerPart,
    files: Mapping[str, Path] | None = None,
    doubt: Callable[[str], Abstention | None] | None = None,
    glossary: Sequence[Term] = (),
) -> Answerer:
    """An Answerer without a language model; `config.refuse` lets it say that the documents do not say."""
    found: dict[str, list[Hit]] = {}

    def kept(question: str) -> list[Hit]:
        hits = retrieve(question)
        found[question.strip()] = hits
        return hits

    question_alone = Prompt.model_construct(system="", rag="{question}")
    rules = Rules(found, config)
    return Answerer(rules, kept, question_alone, config, NAME, None, files or {}, glossary, doubt=doubt)


def compose(question: str, hits: Sequence[Hit], may_refuse: bool = True) -> list[str] | None:
    """The texts of four sections, none empty and no sentence twice; what they name in backticks stands in `hits`.

    None where the documents do not say.
    """
    asked = read_question(question, hits)
    found = best_entry(asked, hits)
    if found is None or (may_refuse and found.covered < LEAST):
        return None
    entry, said = found.entry, Said.over(found.context)
    prose = leaning(entry)
    rows = {pair: row(pair) for pair in (*entry.fields, *entry.codes)}
    plain = [*prose, *entry.notes, *entry.items]
    fit = {text: asked.likeness(text) for text in [*plain, *rows.values()]}
    everything = "\n".join(hit.chunk.passage for hit in hits)
    call = calling(entry, asked, found.context, everything)
    telling = [text for text in fit if text in plain or not call or fit[text] > 2]  # a row only where it is asked for
    best = max(telling, key=lambda text: fit[text], default="")
    own, alone = asked_for(rows, asked, fit)
    first = "".join(said.new([own] if alone else plain[:1], 1))
    meant = answering_row(found, rows, asked)
    best = own or (meant if meant and best in rows.values() else best)
    first = first or ("" if call else overview(found, rows, best, asked))
    if not first and not call and fit.get(best):
        first, best = "".join(said.new([best], 1)), ""
    summary = described(found.heading, first, said.new([best] * bool(fit.get(best)) + [meant] * bool(meant), 2))
    fields = said.new(listed([rows[pair] for pair in entry.fields], fit, FIELDS), FIELDS)
    alarms = [s for s in prose if ALARM.search(s)]
    steps = [f"{n}. {said.ticked(step)}" for n, step in enumerate(entry.steps[:STEPS], entry.begin)]
    said.new(entry.steps, STEPS)  # none of them is left out, nor told again
    steps += [MORE] * (len(entry.steps) > STEPS)
    steps = steps or pointed(said.new(entry.points, STEPS))
    how = call + ([] if steps else said.new((s for s in prose if s not in alarms), 2))
    how = how or ([] if steps else said.new(alarms, 1))
    tips = said.new(warned([*entry.notes, *alarms], [rows[pair] for pair in entry.codes], fit, TIPS), TIPS)
    tips = tips or said.new(sorted(prose, key=lambda text: -fit[text]), 3)
    other = beside(asked, found, hits, everything)
    how += [other] if other and not steps else []
    how = [" ".join(how)] * bool(how) + steps
    how += [f"\n{other}"] if other and steps else []
    fields += said.named(prose, fields, FIELDS, fit) if len(entry.fields) <= FIELDS else [OTHERS]
    return [
        summary,
        "\n".join(how) or f"Read “{found.heading}” in the sources.",
        "\n".join(f"- {text}" for text in fields) or "- No field is listed for this.",
        "\n".join(f"- {text}" for text in tips)
        or f"The documents name no {'further' if entry.notes else 'special'} warning for this.",
    ]
