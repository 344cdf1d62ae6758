"""Requests to a running server in, over real connections: answers, refusals, a queue, clients that go away."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_answer import Scripted, answerer
from tiny_lm import response
from tiny_project import make_project

from copilot.config import SECTIONS, Config
from copilot.config_file import load_config
from copilot.errors import CopilotError, StaleError
from copilot.pipeline import run_index
from copilot.reading.glossary import Term
from copilot.serving.api import BODY, Api
from copilot.serving.conversation import reply
from copilot.serving.desk import Desk
from copilot.serving.serve import NAMES, Current, listening, run_serve, server_of
from copilot.terminal import Terminal
from copilot.types import Message

pytest.importorskip("starlette", reason="the serve extra")
pytest.importorskip("uvicorn", reason="the serve extra")

QUESTION = {"question": "How do I light the lamp?"}


class Slow(Scripted):
    """A generator that says a line each time it is let go on."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.go, self.ended = threading.Semaphore(0), threading.Semaphore(0)
        self.said = 0

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        try:
            for piece in super().stream(messages, grammar):
                if piece:
                    assert self.go.acquire(timeout=30)
                    self.said += 1
                yield piece
        finally:
            self.ended.release()


class Broken(Scripted):
    """A generator that cannot; its error is a person's or, after that, a programmer's."""

    def stream(self, messages: Sequence[Message], grammar: str | None = None) -> Iterator[str]:
        self.prompts.append(messages)
        if len(self.prompts) == 1:
            raise CopilotError("the prompt has 9 tokens", "lower retriever.k")
        raise ZeroDivisionError("SECRET")
        yield ""


class Running:
    """A server in a thread, and what it has said."""

    def __init__(self, generator: Scripted, most: int, token: str, glossary: Sequence[Term]) -> None:
        asked, _ = answerer("")
        self.heard: list[str] = []
        using = replace(asked, generator=generator, glossary=glossary)
        self.desk = Desk(lambda q, on_text: reply(using, q, on_text), most, self.heard.append, self.heard.append)
        self.server = server_of(Api(self.desk, "tiny", token, frozenset() if token else NAMES))
        self.socket = listening("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()

    def send(self, path: str, body: Any = None, **headers: str) -> http.client.HTTPConnection:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Content-Type": "application/json", **{name.replace("_", "-"): v for name, v in headers.items()}}
        line.request("GET" if body is None else "POST", path, None if body is None else data, named)
        return line

    def get(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any, http.client.HTTPMessage]:
        with closing(self.send(path, body, **headers)) as line:
            got = line.getresponse()
            text = got.read()
            kind = got.headers.get_content_type()
            return got.status, json.loads(text) if kind == "application/json" else text.decode(), got.headers


@contextmanager
def running(generator: Scripted, most: int = 8, token: str = "", glossary: Sequence[Term] = ()) -> Iterator[Running]:
    made = Running(generator, most, token, glossary)
    try:
        yield made
    finally:
        made.server.should_exit = True
        made.desk.close()
        made.thread.join()


@pytest.fixture(scope="module")
def at() -> Iterator[Running]:
    with running(Scripted(response(1))) as made:
        yield made


def chat(*said: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant") * len(said)
    return {"messages": [{"role": r, "content": text} for r, text in zip(roles, said, strict=False)], **more}


def events(text: str) -> list[Any]:
    *lines, done, rest = text.split("\n\n")
    assert done == "data: [DONE]" and rest == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_ask_gives_what_ask_json_prints(at: Running) -> None:
    status, got, _ = at.get("/ask", QUESTION)
    expected = answerer(response(1))[0].ask(QUESTION["question"]).to_json()
    assert status == 200 and got.pop("asked_as") == expected.pop("question") == got.pop("question")
    assert expected.pop("asked_as") is None
    assert got.pop("usage").keys() == expected.pop("usage").keys() and got == expected


def test_a_term_is_explained_in_the_text_whole_and_streamed() -> None:
    """In the section that uses it first; `copilot` tells it apart from what the model wrote."""
    text = response(1).replace("also says", "lists and also says")
    with running(Scripted(text), glossary=[Term("List", "people")]) as at:
        whole = at.get("/v1/chat/completions", chat("How?"))[1]
        parts = events(at.get("/v1/chat/completions", chat("How?", stream=True))[1])
    said = whole["choices"][0]["message"]["content"]
    assert said == "".join(part["choices"][0]["delta"].get("content", "") for part in parts)
    assert said == text.replace(f"\n\n### {SECTIONS[3]}", f"\n\n> **List**: people\n\n### {SECTIONS[3]}")
    for one in (whole["copilot"], parts[-1]["copilot"]):
        assert one["answer"] == text
        assert one["glossary"] == [{"term": "List", "meaning": "people", "section": SECTIONS[2]}]


def test_a_follow_up_is_asked_with_the_one_before(at: Running) -> None:
    before = {"before": ["How do I light the lamp?"], "question": "And its limit?"}
    assert at.get("/ask", before)[1]["asked_as"] == "How do I light the lamp? And its limit?"
    got = at.get("/v1/chat/completions", chat("How do I light the lamp?", "So.", "And its limit?"))[1]
    assert got["copilot"]["asked_as"] == "How do I light the lamp? And its limit?"


def test_openais_own_client_is_understood(at: Running) -> None:
    from openai import OpenAI

    client = OpenAI(base_url=f"http://127.0.0.1:{at.port}/v1", api_key="any", max_retries=0)
    assert [model.id for model in client.models.list()] == ["tiny"]
    parts: list[Any] = [{"type": "text", "text": "How?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    asked: list[Any] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": parts}]
    done = client.chat.completions.create(model="tiny", messages=asked, temperature=0.3, max_tokens=9)
    assert done.choices[0].message.content == response(1) and done.choices[0].finish_reason == "stop"
    extra: Any = done.model_extra
    assert [s["title"] for s in extra["copilot"]["sections"]] == list(SECTIONS)
    assert extra["copilot"]["question"] == "How?" and extra["copilot"]["findings"]
    assert done.usage and done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 9
    stream = client.chat.completions.create(
        model="tiny", messages=asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == response(1)
    assert chunks[-2].choices[0].finish_reason == "stop" and (chunks[-2].model_extra or {})["copilot"]["sources"]
    assert chunks[-1].usage and chunks[-1].usage.prompt_tokens == done.usage.prompt_tokens


def test_pieces_arrive_while_the_answer_is_written() -> None:
    slow = Slow(response(1))
    with running(slow) as at, closing(at.send("/v1/chat/completions", chat("How?", stream=True))) as line:
        slow.go.release()
        got = line.getresponse()
        first = json.loads(got.readline().removeprefix(b"data: "))
        assert got.status == 200 and first["choices"][0]["delta"]["content"] == "### Summary" and slow.said == 1
        slow.go.release(99)
        assert events(got.read().decode().lstrip())[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/ask", b"{", 400, "Invalid JSON"),
        ("/ask", {}, 400, "question: Field required"),
        ("/ask", {"question": " \n"}, 400, "question: "),
        ("/ask", {"question": "x" * 8001}, 400, "question: "),
        ("/ask", {"question": "x" * BODY}, 413, "bytes"),
        ("/v1/chat/completions", {"messages": []}, 400, "messages: "),
        ("/v1/chat/completions", chat("How?", "So."), 400, "the last message must be a question"),
        ("/v1/chat/completions", chat("x" * 8001), 400, "8000 characters"),
        ("/v1/chat/completions", chat("How?", n=2), 400, "n: "),
    ],
)
def test_what_cannot_be_answered_is_said(at: Running, path: str, body: Any, status: int, said: str) -> None:
    got, told, _ = at.get(path, body)
    assert got == status and said in told["error"]["message"] and told["error"]["code"] == status


def test_pages_of_others_cannot_ask(at: Running) -> None:
    assert at.get("/ask", QUESTION, Content_Type="text/plain")[0] == 415  # what a form can send
    assert at.get("/ask", QUESTION, Host=f"evil.example:{at.port}")[0] == 403  # a name that was pointed here
    assert at.get("/ask", QUESTION, Host=f"localhost:{at.port}", Origin="http://evil.example")[2].get(
        "Access-Control-Allow-Origin"
    ) is None
    for path, status in (("/ask", 405), ("/nothing", 404)):
        got, told, _ = at.get(path)
        assert got == status == told["error"]["code"], "in the shape of the other errors"


def test_a_token_is_asked_of_every_question() -> None:
    with running(Scripted(response(1)), token="s3cret") as at:
        for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "s3cret é"}):
            status, told, headers = at.get("/ask", QUESTION, **wrong)
            assert status == 401 and "token" in told["error"]["message"] and headers["WWW-Authenticate"] == "Bearer"
        assert at.get("/ask", QUESTION, Authorization="Bearer s3cret", Host="other.example")[0] == 200
        assert at.get("/health")[1] == {"status": "ok", "model": "tiny", "token": True}


def test_a_full_queue_says_when_to_come_back() -> None:
    slow = Slow(response(1))
    with running(slow, most=1) as at, closing(at.send("/ask", QUESTION)) as one:
        wait(lambda: at.desk.now is not None)
        with closing(at.send("/ask", QUESTION)) as two:
            wait(lambda: len(at.desk.jobs) == 1)
            status, told, headers = at.get("/ask", QUESTION)
            assert status == 503 and int(headers["Retry-After"]) >= 1 and "waiting" in told["error"]["message"]
            slow.go.release(99)
            assert [line.getresponse().status for line in (one, two)] == [200, 200]


@pytest.mark.parametrize("body", [chat("How?", stream=True), chat("How?")])
def test_who_goes_away_stops_the_model(body: dict[str, Any]) -> None:
    slow = Slow(response(1))
    with running(slow, most=1) as at:
        line, waiting = at.send("/v1/chat/completions", body), at.send("/ask", QUESTION)
        wait(lambda: len(at.desk.jobs) == 1)
        slow.go.release(2)
        wait(lambda: slow.said == 2)
        waiting.close()  # this one never begins
        assert line.sock is not None
        line.sock.shutdown(socket.SHUT_RDWR)
        line.close()
        job = at.desk.now
        wait(lambda: job is None or job.left.is_set())
        slow.go.release(99)
        assert slow.ended.acquire(timeout=30)
        assert slow.said < len(response(1).splitlines())
        wait(lambda: at.desk.now is None and not at.desk.jobs)
        assert len(slow.prompts) == 1 and any(said.startswith("left after") for said in at.heard)
        assert at.get("/ask", QUESTION)[0] == 200  # the next one is answered


def test_a_failure_is_told_and_the_next_question_answered() -> None:
    with running(Broken("")) as at:
        status, told, _ = at.get("/ask", QUESTION)
        assert status == 500 and told["error"]["message"] == "the prompt has 9 tokens"
        for body in (chat("How?"), chat("How?", stream=True)):
            status, told, _ = at.get("/v1/chat/completions", body)
            assert status == 500 and "SECRET" not in json.dumps(told)
        assert at.heard[:2] == ["error: the prompt has 9 tokens", "error: ZeroDivisionError: SECRET"]


def test_a_fault_of_ours_is_said_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Scripted("")) as at:
        monkeypatch.setattr(at.desk, "take", lambda questions: 1 // 0)
        status, told, _ = at.get("/ask", QUESTION)
        assert (status, told["error"]["message"]) == (500, "the server failed")
        assert at.heard == ["error: ZeroDivisionError: integer division or modulo by zero"]


@pytest.mark.parametrize("host", ["[::1", "", "a b", "127.0.0.1:x", "evil.example#127.0.0.1", "127.0.0.1@evil.example"])
def test_strange_names_are_refused(at: Running, host: str) -> None:
    status, told, _ = at.get("/ask", QUESTION, Host=host)
    assert status in (400, 403), told


def test_no_question_is_ever_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with running(Scripted(response(1))) as at:
        at.get("/ask", {"question": "Tell me about Klaus"})
        at.get("/ask", {"question": 1, "Klaus": 2})
        assert at.heard[0].startswith("answered in ") and not any("Klaus" in said for said in at.heard)
    assert capfd.readouterr() == ("", "")


def test_the_page_and_its_parts_come_from_here_alone(at: Running) -> None:
    status, page, headers = at.get("/")
    assert status == 200 and headers.get_content_type() == "text/html"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        assert f'"{name}"' in page
        status, text, headers = at.get(f"/{name}")
        assert status == 200 and headers.get_content_type() == kind
        assert not any(word in text + page for word in ("http://", "https://", "innerHTML", "eval("))


def test_an_open_door_and_a_taken_port_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CopilotError, match=r"at 0\.0\.0\.0 anybody") as caught:
        run_serve(Config(), "", Terminal(), "0.0.0.0", 0, "", 1)
    assert caught.value.code == 2
    with closing(listening("127.0.0.1", 0)) as taken, pytest.raises(CopilotError, match="cannot answer at 127"):
        listening("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(CopilotError, match=r"cannot answer at nowhere\.invalid"):
        listening("nowhere.invalid", 0)


def test_an_index_that_is_made_anew_is_opened_for_the_next_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(make_project(tmp_path / "p"), ["model.backend=extractive"])
    run_index(config, Terminal(quiet=True), "")
    current = Current(config, "", Terminal())
    first = current.answerer()
    assert current.answerer() is first and "made anew" not in capsys.readouterr().err
    lamps = tmp_path / "p" / "docs" / "lamps.md"
    lamps.write_text("# Lamps\n\n## Switch on\n\n`PUT /lamps/light` lights the lamp.\n", encoding="utf-8")
    assert current.answerer() is first  # what it knows still stands on the disk
    run_index(config, Terminal(quiet=True), "")
    lamps.write_text("# Lamps\n\nChanged once more.\n", encoding="utf-8")
    with pytest.raises(StaleError, match=r"lamps\.md changed"):
        current.answerer()
    run_index(config, Terminal(quiet=True), "")
    assert "Changed once more" in current.answerer().ask("What about lamps?").hits[0].chunk.text
    assert "the index or the model was made anew: opening it" in capsys.readouterr().err
    (tmp_path / "p" / "outputs" / "small" / "index" / "manifest.json").unlink()
    assert current.answerer().ask("What about lamps?").hits


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copilot.serving.serve.find_spec", lambda name: None)
    with pytest.raises(CopilotError, match="needs starlette and uvicorn") as caught:
        run_serve(Config(), "", Terminal(), "127.0.0.1", 0, "", 1)
    assert "tech-clarity-copilot[serve]" in caught.value.hint


def wait(until: Any) -> None:
    """Until it is so, at most half a minute."""
    ends = time.monotonic() + 30
    while not until():
        assert time.monotonic() < ends
        time.sleep(0.01)
