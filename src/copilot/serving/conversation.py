"""The questions of a conversation in; what is searched and asked for the last of them, and its Answer, out."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from copilot.answering.answer import Answerer
from copilot.knowledge.lexical import terms
from copilot.opened import told_when_cut
from copilot.types import Answer

FEW, SOME = 1, 3  # words to search by: so few lean on the question before, so many where one points back
LINKED = 3  # questions that are asked as one, at most

_GOES_ON = re.compile(r"\s*(?:and|or|but|also|what about|how about)\b", re.I)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|one|ones|again|instead|the (?:other|old|new|same))\b", re.I
)
_WHOLE = re.compile(  # a question of its own behind the word that goes on
    r"\s*(?:and|or|but|also),? (?:how|what|where|when|why|which|who|can|may|must|is|are|do|does|should)\b(?! about)",
    re.I,
)
_DEFINES = re.compile(r"\s*what (?:is an?|are) \S+ *\?*\s*$", re.I)


def leans(question: str) -> bool:
    """Whether a question says too little alone, as "and its limit?" does.

    It goes on ("and ...") without being a whole question, or is short and points back ("does it ..."), or has hardly a
    word that can be searched.
    """
    words = len(set(terms(question)))
    few = words <= FEW and not _DEFINES.match(question)
    points = _POINTS_BACK.search(question)
    whole = _WHOLE.match(question) and words > FEW and not points
    return bool(few or (_GOES_ON.match(question) and not whole) or (words <= SOME and points))


def standing(questions: Sequence[str]) -> str:
    """What is asked for the last question: itself, or the first of its topic and the latest before it where it leans.

    Chosen and measured by `benchmarks/followups.py`.
    """
    *before, last = questions
    linked = [last]
    while before and leans(linked[0]):
        linked.insert(0, before.pop())
    first, rest = linked[:1], linked[1:]
    return " ".join(text.strip() for text in first + rest[1 - LINKED :])


def reply(answerer: Answerer, questions: Sequence[str], on_text: Callable[[str], None] = lambda piece: None) -> Answer:
    """The answer to the last of a conversation's questions; `on_text` gets it piece by piece."""
    text = standing(questions)
    answer = replace(answerer.ask(text, on_text), question=questions[-1].strip(), asked_as=text)
    return told_when_cut(answerer, answer)
