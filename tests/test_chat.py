"""Questions from a pipe, and from a person at a terminal of the test's own, in; what stands there afterwards out."""

import io
import json
import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from test_answer import Scripted, answerer
from tiny_lm import response

from copilot.answering.answer import Answerer
from copilot.errors import CopilotError
from copilot.reading.glossary import Term
from copilot.serving.chat import run_chat
from copilot.terminal import Terminal
from copilot.types import Message

HERE = Path(__file__).parent


def piped(monkeypatch: pytest.MonkeyPatch, text: str, asked: Answerer | None = None, as_json: bool = False) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    run_chat(asked or answerer(response(1))[0], Terminal(), as_json)


def test_each_line_of_a_pipe_is_answered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    piped(monkeypatch, "How do I delete a contact?\n\n And its limit? \n/quit\nNever asked?\n")
    out, err = capsys.readouterr()
    first, second = out.split("## And its limit?\n\n")
    assert first.startswith(f"## How do I delete a contact?\n\n{response(1)}\n\nSources\n[1] ")
    assert first.endswith("\n\n")
    assert second.startswith(response(1)) and "Never" not in out
    assert "Ask a question" not in err and "> " not in out + err


def test_each_answer_of_a_pipe_explains_its_terms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = replace(answerer(response(1))[0], glossary=[Term("Contact", "a person")])
    piped(monkeypatch, "How?\nWhy is that so?\n", asked)
    out = capsys.readouterr().out
    assert out.count("\n\n> **Contact**: a person\n\n### How it works\n") == 2 and "Terms" not in out


def test_json_is_one_object_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    piped(monkeypatch, "How do I delete a contact?\nAnd its limit?\n/sources\nWhy?", as_json=True)
    made = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["question"] for one in made] == ["How do I delete a contact?", "And its limit?", "Why?"]
    assert made[2]["asked_as"] == "How do I delete a contact? And its limit? Why?"
    assert list(made[0]) == list(answerer(response(1))[0].ask("How?").to_json())


def test_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    piped(monkeypatch, "/sources\n/help\nWhat is `GET /v2/lists`?\n/v2/lists what?\n/sources\n")
    out, err = capsys.readouterr()
    assert "nothing to show" in err and "/sources shows the passages of the last answer, /quit ends" in err
    assert out.count("### Summary") == 2  # a path is no command
    assert "--- [1] Guide › Contacts (a.md, characters 0–4, 0.500)\nOne." in out


def test_an_error_ends_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Scripted):
        def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
            raise CopilotError("no room")
            yield ""

    asked, _ = answerer("")
    with pytest.raises(CopilotError, match="no room"):
        piped(monkeypatch, "How?\nWhy?\n", Answerer(Broken(""), asked.retrieve, asked.prompt, asked.config, "m", None))


CHILD = """
import sys, time
sys.path[:0] = [{here!r}]
from dataclasses import replace
from test_answer import Scripted, answerer
from tiny_lm import response
from copilot import cli, opened
from copilot.errors import CopilotError

class Sometimes(Scripted):
    def stream(self, messages, grammar=None):
        lines = list(super().stream(messages, grammar))
        if "broken" in messages[-1]["content"]:
            raise CopilotError("no room", "make some")
        yield from lines[:3]
        if "slow" in messages[-1]["content"]:
            time.sleep(60)
        yield from lines[3:]

opened.open_answerer = lambda *a, **b: replace(answerer("")[0], generator=Sometimes(response(1)))
sys.argv = ["copilot", "chat"]
cli.main()
"""


class Person:
    """Somebody at a terminal, with what it has shown since the last word."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.screen = pty.fork()
        if not self.pid:  # the child, on a terminal of its own
            os.environ.update(TERM="xterm", COLUMNS="100", LINES="40")
            signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
            os.execv(sys.executable, [sys.executable, *arguments])
        self.seen = ""

    def until(self, word: str) -> str:
        """What was shown up to `word`."""
        ends = time.monotonic() + 60
        while word not in self.seen:
            assert time.monotonic() < ends, self.seen
            if select.select([self.screen], [], [], 1)[0]:
                try:
                    text = os.read(self.screen, 1 << 16).decode(errors="replace")
                except OSError as error:  # it has ended
                    raise AssertionError(self.seen) from error
                self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        found, _, self.seen = self.seen.partition(word)
        return found

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())

    def code(self, pressing: str = "") -> int:
        """How it ended; `pressing` is typed each second until then: readline can miss a key just after a prompt."""
        ends = time.monotonic() + 60
        with suppress(OSError):  # it has ended
            while True:
                assert time.monotonic() < ends, "it did not end"
                if select.select([self.screen], [], [], 1)[0]:
                    os.read(self.screen, 1 << 16)
                elif pressing:
                    self.type(pressing)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def person() -> Person:
    made = Person("-c", CHILD.format(here=str(HERE)))
    made.until("/quit ends.")
    made.until("> ")
    return made


def test_ctrl_c_stops_the_answer_and_then_the_chat(person: Person) -> None:
    person.type("A slow question?\n")
    person.until("Summary")
    person.type("\x03")
    person.until("stopped")
    person.until("> ")
    person.type("Is it broken?\n")
    person.until("error: no room")
    person.until("make some")
    person.until("> ")
    person.type("How do I delete a contact?\n")
    assert "Common mistakes" in person.until("Sources")
    person.until("> ")
    person.type("/sources\n")
    person.until("--- [1] Guide › Contacts")
    person.until("> ")
    person.type("\x03")
    assert person.code(pressing="\x03") == 130


@pytest.mark.parametrize("ends", ["/quit\n", "\x04"])
def test_a_person_ends_it(person: Person, ends: str) -> None:
    person.type(ends)
    assert person.code() == 0
