"""Questions from a terminal or a pipe in, one after the other; each answer as `ask` gives it out."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress

from copilot.answering.answer import Answerer
from copilot.errors import CopilotError
from copilot.plain import clean, escaped
from copilot.serving.conversation import reply
from copilot.terminal import Terminal
from copilot.types import Answer

COMMANDS = "/sources shows the passages of the last answer, /quit ends"


def run_chat(answerer: Answerer, terminal: Terminal, as_json: bool) -> None:
    """Answer until `/quit` or the end of the input; `as_json` prints one JSON object a line.

    A person's Ctrl-C stops the answer that is being written; where none is, and for a pipe, KeyboardInterrupt goes
    on. Errors are told to a person, who may ask on; for a pipe they are raised.
    """
    person = sys.stdin.isatty()
    if person:
        terminal.say(f"Ask a question. {COMMANDS}.")
    questions: list[str] = []
    last: Answer | None = None
    for line in _lines(person, terminal.live):
        text = line.strip()
        if text == "/quit":
            return
        if text == "/sources" and last and not as_json:
            terminal.passages(last)
        elif re.fullmatch(r"/[a-z]+", text):
            terminal.say("nothing to show" if text == "/sources" else COMMANDS)
        elif text:
            questions.append(text)
            if not as_json and not person:
                print(("\n" if last else "") + clean(f"## {text}\n"))
            last = _answered(answerer, terminal, questions, as_json, person) or last


def _answered(
    answerer: Answerer, terminal: Terminal, questions: list[str], as_json: bool, person: bool
) -> Answer | None:
    """The answer to the last question, shown; None where it was stopped or failed."""
    try:
        with nullcontext(lambda piece: None) if as_json else terminal.streaming() as on_text:
            answer = reply(answerer, questions, on_text)
    except KeyboardInterrupt:
        if not person:
            raise
        terminal.say("stopped")
        return None
    except CopilotError as error:
        if not person:
            raise
        terminal.say(f"error: {error.message}" + (f"\n  → {error.hint}" if error.hint else ""))
        return None
    if as_json:
        print(escaped(json.dumps(answer.to_json(), ensure_ascii=False)), flush=True)
    else:
        terminal.answer(answer, streamed=True, show_context=False)
    if answer.asked_as != answer.question:
        terminal.detail(f"asked as: {answer.asked_as}")
    terminal.usage(answer)
    return answer


def _lines(person: bool, live: bool) -> Iterator[str]:
    """What a person types after a prompt, until Ctrl-D, or the lines of a pipe."""
    if not person:
        yield from map(clean, sys.stdin)
        return
    with suppress(ImportError):  # on Windows
        import readline  # noqa: F401  arrow keys and the questions before, in `input`
    while True:
        try:
            if not live:  # the answers go to a file, and the prompt must not
                print("> ", end="", file=sys.stderr, flush=True)
            yield input("> " if live else "")
        except EOFError:
            print(file=sys.stderr)
            return
