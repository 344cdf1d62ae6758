"""A question and its hits in; an answer of sentences and table rows copied from the best entry out, without a model.

The baseline that a language model has to beat: a Generator like any other, deterministic, at once, and without torch.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from copilot.answering.answer import Answerer
from copilot.answering.entries import Entry
from copilot.answering.glossary import Term
from copilot.answering.identifiers import VERBS, nameable
from copilot.answering.ranking import SHAPED, best_entry, read_question
from copilot.answering.refusal import refusal
from copilot.config import AnswerPart, Prompt
from copilot.model.generator import Generated
from copilot.prompt.sections import MARK
from copilot.types import Abstention, Hit, Message

NAME = "extractive"  # what `Answer.model` says
FIELDS, TIPS, STEPS = 6, 4, 6  # items of a section, at most
LEAST = 0.1  # share of what is asked; when the best entry holds less, the documents do not say

_CALL = re.compile(rf"\b((?:{VERBS}) /[\w/{{}}<>.:-]*[\w}}>])")
_MODULE = re.compile(r"(?:The \w+ |Use )?`?([a-z]+(?:[A-Z]\w*|_\w+))`?(?![\w(.])")
_ALARM = re.compile(
    r"\b(?:refused|rejected|errors?|cannot|only|must|not|never|no longer|fails?|otherwise|at most|up to|limit\w*|"
    r"except|unless|before|lost|ignored|[45]\d\d)\b",
    re.I,
)
_LEANS = re.compile(r"(?:It|They|This|These|Those|That|Such|Otherwise|Then|Both|He|She|In that case)\b")


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
            yield refusal(hits, (), self.config.sections)
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


@dataclass(frozen=True, slots=True)
class Said:
    """What the answer has said already, and the names that its entry lets it put into backticks."""

    names: tuple[str, ...]
    marked: bool  # the document itself has names in backticks
    before: set[str] = field(default_factory=set)

    def new(self, sentences: Iterable[str], most: int) -> list[str]:
        """The first `most` that were not said yet, names in backticks; they count as said from now on."""
        found: list[str] = []
        for sentence in sentences:
            key = " ".join(re.findall(r"\w+", sentence.lower()))
            if len(found) < most and key and key not in self.before:
                self.before.add(key)
                found.append(self.ticked(sentence))
        return found

    def ticked(self, text: str) -> str:
        """`text` with its names in backticks, where the document has not put them there."""
        shaped = [re.escape(n) for n in sorted(self.names, key=len, reverse=True) if SHAPED.match(n)]
        if self.marked or not shaped:
            return text
        name = re.compile(rf"(?<![\w/.{{-])(?:{'|'.join(shaped)})(?![\w/}}(-])")
        spans = text.split("`")
        return "`".join(part if i % 2 else name.sub(r"`\g<0>`", part) for i, part in enumerate(spans))

    def naming(self, text: str) -> str:
        """The first name that stands in backticks in `text`; "" without one."""
        return next((n for n in re.findall(r"`([^`]+)`", self.ticked(text)) if n in self.names), "")


def compose(question: str, hits: Sequence[Hit], may_refuse: bool = True) -> list[str] | None:
    """The texts of four sections, none empty and no sentence twice; what they name in backticks stands in `hits`.

    None where the documents do not say.
    """
    asked = read_question(question, hits)
    found = best_entry(asked, hits)
    if found is None or (may_refuse and found.covered < LEAST):
        return None
    entry, said = found.entry, Said(nameable(found.context), "`" in found.context)
    prose = leaning(entry.sentences)
    plain = [*prose, *entry.notes, *entry.steps]
    fit = {text: asked.likeness(text) for text in [*plain, *map(row, entry.fields)]}
    call = calling(entry)
    telling = [text for text in fit if text in plain or not call or fit[text] > 2]  # a row only where it is asked for
    best = max(telling, key=lambda text: fit[text], default="")
    summary = said.new([*plain[:1], *([best] if fit.get(best) else [])], 2)
    wanted = sorted(entry.fields, key=lambda pair: -fit[row(pair)])[:FIELDS]
    fields = said.new([row(pair) for pair in entry.fields if pair in wanted], FIELDS)
    alarms = [s for s in prose if _ALARM.search(s)]
    steps = said.new(entry.steps, STEPS)
    how = call + ([] if steps else said.new((s for s in prose if s not in alarms), 2))
    how = how or ([] if steps else said.new(alarms, 1))
    tips = said.new([*entry.notes, *alarms], TIPS) or said.new(prose, TIPS)
    how = [" ".join(how)] * bool(how) + [f"{n}. {step}" for n, step in enumerate(steps, 1)]
    for sentence in [] if fields else prose:
        if name := said.naming(sentence):
            fields += [f"`{name}`: {text}" for text in said.new([sentence], 1)]
    return [
        " ".join(summary) or f"{found.heading}.",
        "\n".join(how) or f"Read “{found.heading}” in the sources.",
        "\n".join(f"- {text}" for text in fields) or "- No field is listed for this.",
        "\n".join(f"- {text}" for text in tips) or "The documents name no special warning for this.",
    ]


def row(pair: tuple[str, str]) -> str:
    """A row of a table as an item; a name gets backticks, a word such as a plan's name none."""
    name = pair[0] if "`" in pair[0] or not re.fullmatch(r"(?![A-Z][a-z]+$)\S*[A-Za-z]\S*", pair[0]) else f"`{pair[0]}`"
    return f"{name}: {pair[1]}"


def leaning(sentences: Sequence[str]) -> list[str]:
    """The sentences, each with those after it that cannot be understood alone; a first one that cannot is left out."""
    found: list[str] = []
    for sentence in sentences:
        if found and _LEANS.match(sentence):
            found[-1] += " " + sentence
        elif not _LEANS.match(sentence):
            found.append(sentence)
    return found


def calling(entry: Entry) -> list[str]:
    """How the entry's endpoint or module is used; nothing where its first sentence names none."""
    first = entry.sentences[0] if entry.sentences else ""
    call = _CALL.search(first.replace("`", "")) or _MODULE.match(first)
    if call is None:
        return []
    path = re.findall(r"{(\w+)}", call[1])
    given = [name.strip("`") for name, text in entry.fields if text.endswith("Required.")]
    given = [f"`{name}`" for name in given if name not in path and not call[1].startswith("GET ")]
    how = [f"{'Call' if ' ' in call[1] else 'Use'} `{call[1]}`."]
    return how + ([f"Give {' and '.join(filter(None, (', '.join(given[:-1]), given[-1])))}."] if given else [])
