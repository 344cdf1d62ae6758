"""An answer and its findings in, the messages that ask for a better one out: the one repair round of remote models."""

from collections.abc import Sequence
from dataclasses import dataclass

from copilot.config import AnswerPart
from copilot.errors import CopilotError
from copilot.model.generator import Generated, Generator
from copilot.prompt.sections import headings
from copilot.types import Finding, Message


@dataclass(frozen=True, slots=True)
class Repaired:
    """What stands after the round, and what the round cost."""

    text: str
    read: int = 0  # tokens
    written: int = 0  # tokens
    note: str = ""  # why there was no second answer, where one was asked for
    filled: tuple[str, ...] | None = None  # titles of sections filled by rule; None where none may be


def ask_again(generator: Generator, talks: Sequence[Sequence[Message]]) -> list[Generated | CopilotError]:
    """A second answer to each talk, or why there is none; where many fail together, each is asked alone."""
    if not talks:
        return []
    try:
        return [*generator.batch(talks, lambda done: None)]
    except CopilotError as error:
        return [error] if len(talks) == 1 else [again for talk in talks for again in ask_again(generator, [talk])]


def to_repair(findings: Sequence[Finding], config: AnswerPart) -> list[Finding]:
    """The findings that `answer.enforce` is about."""
    if config.enforce == "off":
        return []
    return [f for f in findings if f.kind == "structure" or config.enforce != "structure"]


def repair_messages(
    messages: Sequence[Message], text: str, findings: Sequence[Finding], config: AnswerPart
) -> list[Message]:
    """The talk so far, `text` as what the model said, and the findings as one further user message."""
    shape = [f.text for f in findings if f.kind == "structure"]
    foreign = list(dict.fromkeys(f.text for f in findings if f.kind != "structure"))
    said = [f"Its shape is wrong: {', '.join(shape)}."] if shape else []
    if foreign:
        said.append(
            "Neither the context nor the question holds the following; leave it out, or write what the context says:\n"
            + "\n".join(f"- {name}" for name in foreign)
        )
    said.append(f"Write the whole answer again, under exactly these headings: {headings(config.sections)}.")
    user = "A check of your answer found mistakes. " + "\n".join(said)
    return [*messages, {"role": "assistant", "content": text}, {"role": "user", "content": user}]
