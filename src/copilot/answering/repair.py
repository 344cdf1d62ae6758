"""An answer and its findings in, the messages that ask for a better one out: the one repair round of remote models."""

from collections.abc import Sequence

from copilot.config import AnswerPart
from copilot.prompt.sections import headings
from copilot.types import Finding, Message


def to_repair(findings: Sequence[Finding], config: AnswerPart) -> list[Finding]:
    """The findings that `answer.enforce` is about."""
    if config.enforce == "off":
        return []
    return [f for f in findings if f.kind == "structure" or config.enforce == "structure+identifiers"]


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
