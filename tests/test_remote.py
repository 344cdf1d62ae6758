"""The providers' real chat clients against a server on this machine: text, cost, errors, repair, a whole run."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_lm
from chat_server import ChatServer, serving
from langsmith.utils import get_env_var
from llguidance import LLMatcher, grammar_from
from tiny_lm import hit
from tiny_project import answer as four_sections
from tiny_project import make_project
from typer.testing import CliRunner

import copilot.provider as provider
from copilot.answering.answer import Answerer
from copilot.cli import app
from copilot.config import AnswerPart, Model, Prompt
from copilot.config_file import load_config
from copilot.errors import ConfigError, CopilotError
from copilot.model.constrain import Vocabulary
from copilot.model.load import model_folder
from copilot.model.remote import RemoteGenerator
from copilot.opened import open_answerer
from copilot.pipeline import run_train
from copilot.terminal import Terminal
from copilot.types import Message

ASKED: list[Message] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "How do I ring?"}]
GOOD = four_sections("bell")
BAD = GOOD.replace("`bellId`", "`ringerId`")


@pytest.fixture
def server(no_keys: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with serving(GOOD) as running:
        yield running


def openai(server: ChatServer, **changes: Any) -> Model:
    return Model(**{"name": "openai:gpt-small", "api_key": "right", "endpoint": f"{server.url}/v1", **changes})


def azure(server: ChatServer, **changes: Any) -> Model:
    given = {"name": "azure_openai:chat", "api_key": "right", "endpoint": server.url, "api_version": "2024-10-21"}
    return Model(**{**given, **changes})


def opened(config: Model, **answer: Any) -> RemoteGenerator:
    return RemoteGenerator(config, AnswerPart(**answer), seed=7, at_once=3)


def test_a_remote_text_that_its_limit_has_ended_is_known_as_cut(server: ChatServer) -> None:
    remote = opened(openai(server), max_new_tokens=99)
    list(remote.stream(ASKED))
    assert remote.cut == ""
    server.reason = "length"
    list(remote.stream(ASKED))
    assert remote.cut == "answer.max_new_tokens (99)"


@pytest.mark.parametrize("made", [openai, azure])
def test_text_and_cost_streamed_and_at_once(made: Any, server: ChatServer) -> None:
    remote = opened(made(server), max_new_tokens=99)
    pieces = list(remote.stream(ASKED, "a grammar that has no effect"))
    assert "".join(pieces) == GOOD and len(pieces) > 5
    assert (remote.count(ASKED), remote.count_text(GOOD)) == (6, len(GOOD.split()))
    (whole,) = remote.batch([ASKED])
    assert (whole.text, whole.prompt_tokens, whole.completion_tokens) == (GOOD, 6, len(GOOD.split()))
    path = (
        "/v1/chat/completions" if made is openai else "/openai/deployments/chat/chat/completions?api-version=2024-10-21"
    )
    assert {(r["path"], r["key"]) for r in server.seen} == {(path, "right")}
    for request in server.seen:
        assert request["messages"] == ASKED
        assert (request["temperature"], request["seed"]) == (0, 7)
        assert (request.get("max_completion_tokens") or request.get("max_tokens")) == 99


def test_many_prompts_keep_their_order(server: ChatServer) -> None:
    server.replies = [f"Text {n}." for n in range(7)]
    prompts: list[list[Message]] = [[{"role": "user", "content": f"{n} " * (n + 1)}] for n in range(7)]
    told: list[int] = []
    made = opened(openai(server)).batch(prompts, told.append)
    assert [m.prompt_tokens for m in made] == [1, 2, 3, 4, 5, 6, 7] and sum(told) == 7
    assert sorted(m.text for m in made) == [f"Text {n}." for n in range(7)]


def test_a_server_that_does_not_count_gets_an_estimate(server: ChatServer) -> None:
    server.counts = False
    remote = opened(openai(server))
    assert "".join(remote.stream(ASKED)) == GOOD
    assert remote.count(ASKED) == (9 + 14) // 4 and remote.count_text(GOOD) == len(GOOD) // 4
    assert remote.batch([ASKED])[0].completion_tokens == len(GOOD) // 4


def refused(remote: RemoteGenerator, whole: bool = False) -> CopilotError:
    with pytest.raises(CopilotError) as caught:
        remote.batch([ASKED]) if whole else list(remote.stream(ASKED))
    assert "\n" not in caught.value.message and "gpt-small at http://127.0.0.1" in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("whole", [False, True])
def test_failures_are_one_sentence(whole: bool, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = refused(opened(openai(server, api_key="wrong-secret")), whole)
    assert "answers 401: Access denied: wrong subscription key." in wrong.message and "key" in wrong.hint
    assert "wrong-secret" not in wrong.message and len(server.seen) == 1
    server.refusals = [(429, "Rate limit reached.")] * 3
    assert "answers 429: Rate limit reached." in refused(opened(openai(server)), whole).message
    assert len(server.seen) == 4, "asked three times"
    server.refusals = [(400, "This model's maximum context length is 10 tokens.")]
    assert "answers 400: This model's maximum context" in refused(opened(openai(server)), whole).message
    server.replies = ["", GOOD]
    assert "the text is empty (it ended with stop)" in refused(opened(openai(server)), whole).message
    monkeypatch.setattr(provider, "TIMEOUT", 0.2)
    server.wait = 1.0
    began = time.monotonic()
    assert "gives no answer: Request timed out" in refused(opened(openai(server)), whole).message
    assert time.monotonic() - began < 8
    server.server_close()
    assert "gives no answer: Connection error" in refused(opened(openai(server)), whole).message


def test_a_rate_limit_that_passes_is_waited_for(server: ChatServer) -> None:
    server.refusals = [(429, "Slow down."), (503, "Overloaded.")]
    assert "".join(opened(openai(server)).stream(ASKED)) == GOOD and len(server.seen) == 3


def test_a_line_that_breaks_in_a_stream(server: ChatServer) -> None:
    server.breaks = True
    assert "gives no answer" in refused(opened(openai(server))).message


def test_missing_settings_are_named(server: ChatServer) -> None:
    with pytest.raises(CopilotError, match="needs OPENAI_API_KEY, which the environment does not hold"):
        opened(openai(server, api_key=None))
    with pytest.raises(CopilotError, match="needs AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT, which"):
        opened(azure(server, api_key=None, endpoint=None))
    assert server.seen == []


def test_nothing_is_told_to_langsmith(server: ChatServer, no_keys: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(1.5)  # it would send within a second
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
            no_keys.setenv(name, "true")
        no_keys.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{listening.getsockname()[1]}")
        no_keys.setenv("LANGSMITH_API_KEY", "x")
        get_env_var.cache_clear()
        remote = opened(openai(server))
        list(remote.stream(ASKED))
        remote.batch([ASKED])
        with pytest.raises(TimeoutError):
            listening.accept()
        assert len(server.seen) == 2
    get_env_var.cache_clear()


def asking(server: ChatServer, guided: bool = False, **answer: Any) -> Answerer:
    config = AnswerPart(**answer)
    hits = [hit("`bellId` names the bell. Send it.", "bells.txt", "Bells")]
    remote = RemoteGenerator(openai(server, guided=guided), config, 1, 2)
    return Answerer(remote, lambda q: hits, Prompt(), config, "openai:gpt-small", None, {}, (), config.enforce != "off")


def test_findings_go_back_once_and_both_rounds_are_paid(server: ChatServer) -> None:
    server.replies = [BAD, GOOD]
    pieces: list[str] = []
    answer = asking(server).ask("How?", pieces.append)
    assert answer.text == GOOD and answer.findings == () and "".join(pieces) == answer.marked
    first, second = (request["messages"] for request in server.seen)
    assert second[:2] == first and second[2] == {"role": "assistant", "content": BAD}
    assert second[3]["role"] == "user" and "- ringerId\n" in second[3]["content"]
    assert "### Summary, ### How it works" in second[3]["content"]
    read = sum(len(m["content"].split()) for m in (*first, *second))
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (read, 2 * len(GOOD.split()))


def test_then_the_findings_stand(server: ChatServer) -> None:
    server.replies = [BAD, "Well.\n" + BAD]
    answer = asking(server).ask("How?")
    assert len(server.seen) == 2 and answer.text == BAD, "the second is worse"
    assert [(f.kind, f.text) for f in answer.findings] == [("identifier", "ringerId")]


def test_a_repair_that_fails_leaves_the_first_answer(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first answer costs one request, its repair is refused: alone, and one of two."""
    ask = server.say

    def only_first(body: dict[str, Any]) -> str | tuple[int, str]:
        repair = len(body["messages"]) > 2
        return (400, "Too long.") if repair and "How?" in body["messages"][1]["content"] else ask(body)

    monkeypatch.setattr(server, "say", only_first)
    server.replies = [BAD]
    answer = asking(server).ask("How?")
    assert (answer.text, [f.text for f in answer.findings]) == (BAD, ["ringerId"])
    assert "asked for in vain: openai:gpt-small at http" in answer.note and "Too long." in answer.note
    assert answer.usage.completion_tokens == len(BAD.split()) and answer.to_json()["note"] == answer.note
    Terminal().answer(answer, streamed=False, show_context=False)
    assert capsys.readouterr().err.splitlines()[1:] == ["Check: not in the documents found: ringerId", answer.note]
    server.replies = [BAD, BAD, GOOD]
    lost, made = asking(server).ask_all(["How?", "Why?"])
    assert (lost.text, made.text, made.note) == (BAD, GOOD, "") and lost.note == answer.note


def test_many_answers_are_repaired_together(server: ChatServer) -> None:
    server.replies = [BAD]
    good, *_ = asking(server, enforce="structure").ask_all(["How?"])
    assert good.findings and len(server.seen) == 1, "structure alone is asked for, and it is there"
    bad = asking(server).ask_all(["How?", "Why?"])
    assert len(server.seen) == 5 and all(a.findings and a.usage.completion_tokens > 40 for a in bad)


def test_a_server_that_takes_grammars_is_held_to_them(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says the first of its replies that the grammar accepts, read as vLLM's guidance backend reads it."""
    tokenizer = tiny_lm.tokenizer()
    vocabulary = Vocabulary(tokenizer, len(tokenizer), {tokenizer.eos_token_id})
    replies = [BAD, "Well.\n" + GOOD, GOOD]

    def held(body: dict[str, Any]) -> str:
        grammar = body.get("structured_outputs", {}).get("grammar")
        if grammar is None:
            return replies[0]
        matcher = LLMatcher(vocabulary.engine, grammar_from("grammar", grammar))
        assert not matcher.get_error()
        return next(text for text in replies if accepts(matcher, tokenizer.encode(text, add_special_tokens=False)))

    monkeypatch.setattr(server, "say", held)
    guided, free = asking(server, guided=True), asking(server)
    answer = guided.ask("How?")
    assert answer.text == GOOD and answer.findings == () and len(server.seen) == 1, "nothing is left to repair"
    assert [made.text for made in guided.ask_all(["How?", "Why?"])] == [GOOD, GOOD]
    assert len(server.seen) == 3 and free.ask("How?").findings
    assert "structured_outputs" not in server.seen[-1]


def accepts(matcher: LLMatcher, tokens: list[int]) -> bool:
    matcher.reset()
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def test_without_enforcement_it_is_streamed_and_asked_once(server: ChatServer) -> None:
    server.replies = [BAD]
    pieces: list[str] = []
    answer = asking(server, enforce="off").ask("How?", pieces.append)
    assert len(server.seen) == 1 and len(pieces) > 5 and len(answer.findings) == 1


@pytest.fixture
def project(tmp_path: Path, server: ChatServer, no_keys: pytest.MonkeyPatch) -> Path:
    """A project that asks the server; its key comes from the environment."""
    no_keys.setenv("MY_KEY", "right")
    file = make_project(tmp_path)
    text = file.read_text(encoding="utf-8")
    local = next(line for line in text.splitlines() if line.startswith("model:"))
    remote = f'model: {{name: "openai:org/gpt/small", endpoint: "{server.url}/v1", api_key: "${{MY_KEY}}"}}'
    file.write_text(text.replace(local, remote), encoding="utf-8")
    return file


def test_a_pipeline_without_training(project: Path, server: ChatServer) -> None:
    runner = CliRunner()
    dry = runner.invoke(app, ["pipeline", "-c", str(project), "--dry-run"])
    assert [line.split()[0] for line in dry.stdout.splitlines()[1:4]] == ["index", "evaluate", "demo"]
    assert dry.stdout.endswith(f"Contacts:\n  {server.url}/v1\n") and server.seen == []
    done = runner.invoke(app, ["pipeline", "-c", str(project)])
    assert done.exit_code == 0, done.exception
    assert "Free and served on the held-out questions" in done.stdout and "no findings" in done.stdout
    again = runner.invoke(app, ["pipeline", "-c", str(project)])
    assert again.stderr.count("fresh, skipped") == 3
    folder = load_config(project).run_dir
    summary = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["summary"]
    assert list(summary) == ["base", "served", "extractive", "change"] and summary["served"]["structure"]["mean"] == 1
    assert {r["model"] for r in server.seen} == {"org/gpt/small"}
    secret = [p for p in folder.rglob("*") if p.is_file() and b'"right"' in p.read_bytes()]
    assert secret == []
    asked = runner.invoke(app, ["ask", "How do I ring the bell?", "-c", str(project), "--json"])
    answer = json.loads(asked.stdout)
    assert answer["model"] == "openai:org/gpt/small" and answer["adapter"] is None and answer["answer"] == GOOD


def test_training_is_refused_in_one_sentence(project: Path) -> None:
    for command in (["train"], ["pipeline", "--only", "train"], ["train", "--show-example", "1"]):
        done = CliRunner().invoke(app, [*command, "-c", str(project)])
        assert isinstance(done.exception, CopilotError) and "is a remote model" in done.exception.message
    config = load_config(project)
    with pytest.raises(ConfigError, match=r"openai:org/gpt/small is a remote model, .* cannot be trained"):
        run_train(config, None)  # type: ignore[arg-type]
    with pytest.raises(CopilotError, match="remote model"):
        model_folder(config.model)


def test_asking_needs_an_index_but_no_adapter(project: Path, server: ChatServer) -> None:
    answer = open_answerer(load_config(project), rag=False).ask("What is a bell?")
    assert answer.text == GOOD and answer.hits == () and server.seen[-1]["messages"][1]["content"].endswith("bell?")
    with pytest.raises(CopilotError, match=r"index at .* is missing"):
        open_answerer(load_config(project))
