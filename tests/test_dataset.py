"""JSONL files of every form, whole and broken, against the rows that they become."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_lm import hit, question, response, retrieve, rows_of, save_model, tokenizer, write_rows

from copilot.answering.answer import Answerer
from copilot.config import SECTIONS, AnswerPart, Prompt
from copilot.errors import CopilotError
from copilot.model.dataset import (
    MAX_LINE,
    build_rows,
    held_out_split,
    prompt_tokens,
    read_examples,
    read_questions,
    tokenize,
)
from copilot.model.load import load_tokenizer
from copilot.prompt.render import PLAIN_TEMPLATE, render
from copilot.types import Example, Message

GOOD = {"question": question(1), "response": response(1)}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refused(path: Path) -> CopilotError:
    with pytest.raises(CopilotError) as caught:
        read_examples(path, SECTIONS)
    assert caught.value.hint
    return caught.value


def test_broken_line_7_is_named(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    lines = [json.dumps(GOOD)] * 9
    lines[6] = '{"question": "half a line", '
    file.write_text("\n".join(lines), encoding="utf-8")
    assert refused(file).message.startswith(f"{file}:7: not JSON at column")


def test_empty_lines_count_but_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("\n\n" + json.dumps(GOOD) + "\n\n", encoding="utf-8")
    assert [e.line for e in read_examples(file, SECTIONS)] == [3]


@pytest.mark.parametrize("more", [{}, {"response": " "}, {"response": 5}])
def test_row_without_response(tmp_path: Path, more: dict[str, Any]) -> None:
    error = refused(write(tmp_path / "a.jsonl", GOOD, {"question": "q", **more}))
    assert error.message.endswith("a.jsonl:2: a row without `response`")


def test_row_without_question(tmp_path: Path) -> None:
    error = refused(write(tmp_path / "a.jsonl", {"response": response(1)}))
    assert "a.jsonl:1: a row without `question`" in error.message


@pytest.mark.parametrize("end", ["\n", ""])
def test_line_of_2_mb(tmp_path: Path, end: str) -> None:
    file = tmp_path / "a.jsonl"
    long = json.dumps({**GOOD, "more": "x" * (2 * MAX_LINE)})
    file.write_text(json.dumps(GOOD) + "\n" + long + end, encoding="utf-8")
    assert f"{file}:2: a line of more than 1 MiB" in refused(file).message


def test_missing_section_is_said(tmp_path: Path) -> None:
    three = response(1).replace("### How it works\n", "How it works\n")
    error = refused(write(tmp_path / "a.jsonl", GOOD, {"question": "q", "response": three}))
    assert "a.jsonl:2" in error.message and "missing `### How it works`" in error.message
    error = refused(write(tmp_path / "a.jsonl", {"question": "q", "response": "Just text"}))
    assert "missing `### Summary`" in error.message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe broken", "not UTF-8"),
        (b"[1, 2]", "expected a JSON object"),
        (rb'{"question": "\ud800", "response": "x"}', "a surrogate without its other half"),
        (b"[" * 100_000, "nested too deeply"),
        (b"", "no rows"),
        (b"\n \n", "no rows"),
    ],
)
def test_other_broken_files(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    assert said in refused(file).message


def test_missing_file(tmp_path: Path) -> None:
    assert "no file at" in refused(tmp_path / "none.jsonl").message


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert len(read_examples(file, SECTIONS)) == 1


USER, ASSISTANT = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": response(2)}
EARLIER = [{"role": "user", "content": "old"}, {"role": "assistant", "content": "old answer"}]


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"question": "Q?", "response": response(2)}, "Q?"),
        ({"user_input": "Q?", "reference": response(2)}, "Q?"),
        ({"prompt": [{"role": "system", "content": "s"}, USER], "completion": [ASSISTANT]}, "Q?"),
        ({"prompt": "Q?", "completion": response(2)}, "Q?"),
        ({"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT]}, "Q?"),
        ({"messages": [*EARLIER, USER, ASSISTANT]}, "Q?"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Q?"}]}, ASSISTANT]}, "Q?"),
        ({"instruction": "Q?", "output": response(2)}, "Q?"),
        ({"instruction": "Q?", "input": "For a list.", "output": response(2)}, "Q?\n\nFor a list."),
        ({"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": response(2)}]}, "Q?"),
        ({"conversations": [{"from": "user", "value": "Q?"}, {"from": "assistant", "value": response(2)}]}, "Q?"),
        ({"question": "Q?", "response": response(2), "messages": EARLIER}, "Q?"),
    ],
)
def test_common_forms(tmp_path: Path, row: dict[str, Any], asked: str) -> None:
    assert read_examples(write(tmp_path / "a.jsonl", row), SECTIONS) == [Example(asked, response(2), None, 1)]


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({"messages": [USER]}, "response"),
        ({"messages": [ASSISTANT]}, "question"),
        ({"messages": "text"}, "question"),
        ({"conversations": [5, None]}, "question"),
        ({"instruction": "Q?"}, "response"),
        ({"prompt": [USER], "completion": None}, "response"),
    ],
)
def test_common_forms_cut_short(tmp_path: Path, row: dict[str, Any], missing: str) -> None:
    assert f"a row without `{missing}`" in refused(write(tmp_path / "a.jsonl", row)).message


def test_given_context_is_used_as_it_stands_else_the_retriever_is_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(text: str) -> list[Any]:
        asked.append(text)
        return [hit("From the index.")]

    one, two, none = "The  given\ncontext.", ["First.", "Second {question}."], None
    file = write(tmp_path / "a.jsonl", *({**GOOD, "retrieved_context": c} for c in (one, two, none)), GOOD)
    rows = build_rows(read_examples(file, SECTIONS), ask, tokenizer(template=PLAIN_TEMPLATE), Prompt(), AnswerPart())
    users = [row.messages[1]["content"] for row in rows]
    assert "[1] The  given\ncontext.\n\nQuestion" in users[0]
    assert "[1] First.\n\n[2] Second {question}.\n\nQuestion" in users[1]
    assert "From the index." in users[2] and users[2] == users[3]
    assert asked == [question(1), question(1)]


@pytest.mark.parametrize("context", [5, {"a": "b"}, ["text", 5]])
def test_context_of_another_kind(tmp_path: Path, context: Any) -> None:
    error = refused(write(tmp_path / "a.jsonl", {**GOOD, "retrieved_context": context}))
    assert "a.jsonl:1: `retrieved_context` must be" in error.message


def test_questions_accept_user_input_and_reference(tmp_path: Path) -> None:
    file = write(tmp_path / "q.jsonl", {"user_input": "Q?", "reference": "R"}, {"question": "Q?"})
    first, second = read_questions(file)
    assert (first.question, first.reference, first.id, second.id) == ("Q?", "R", "1", "2")
    with pytest.raises(CopilotError, match=r"q\.jsonl:1: a row without `question`"):
        read_questions(write(tmp_path / "q.jsonl", {"reference": "R"}))
    for gold in ({"document": "a"}, [{"document": "a"}], ["a"], "a"):
        with pytest.raises(CopilotError, match=r"q\.jsonl:1: `gold` must list"):
            read_questions(write(tmp_path / "q.jsonl", {"question": "Q?", "gold": gold}))
    for wrong in ({"identifiers": "DELETE /v1"}, {"identifiers": 5}, {"identifiers": [5]}, {"answerable": "false"}):
        with pytest.raises(CopilotError, match=rf"q\.jsonl:1: `{next(iter(wrong))}` must"):
            read_questions(write(tmp_path / "q.jsonl", {"question": "Q? \U0001f642", **wrong}))


def test_loss_is_on_the_answer_alone_token_by_token(tmp_path: Path) -> None:
    tok = load_tokenizer(save_model(tmp_path / "model"))
    for row, n in zip(rows_of(write_rows(tmp_path / "a.jsonl", 3), tok), range(3), strict=True):
        with_loss = row.input_ids[row.prompt_length :]
        assert with_loss[-1] == tok.eos_token_id and tok.eos_token_id not in with_loss[:-1]
        assert tok.decode(with_loss[:-1]) == response(n)
        assert "".join(tok.decode([t]) for t in with_loss[:-1]) == response(n)
        assert tok.decode(row.input_ids[: row.prompt_length]).endswith(f"{question(n)}\n\nAnswer:\n")


def test_training_and_asking_read_the_same_prompt_tokens(tmp_path: Path) -> None:
    tok, prompt, answer = load_tokenizer(save_model(tmp_path / "model")), Prompt(), AnswerPart()
    read: list[list[int]] = []

    class Reader:
        """Keeps the prompt tokens that it is asked for."""

        reused = 0

        def stream(self, messages: list[Message], grammar: Any = None) -> Any:
            read.append(prompt_tokens(messages, tok))
            return iter(["x"])

        def batch(self, prompts: Any, step: Any, grammars: Any = None) -> Any:
            raise AssertionError

        def count(self, messages: Any) -> int:
            return 0

        def count_text(self, text: str) -> int:
            return 0

    asked = Answerer(Reader(), retrieve, prompt, answer, "m", None)
    for row, n in zip(rows_of(write_rows(tmp_path / "a.jsonl", 3), tok, prompt), range(3), strict=True):
        asked.ask(question(n))
        assert list(row.input_ids[: row.prompt_length]) == read[-1]


@pytest.mark.parametrize(
    "template",
    [
        # says how many messages there are, in front
        "{{ messages|length }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
        # writes something else before an answer than it promises
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}Answer:{% endif %}",
    ],
)
def test_template_that_changes_the_prompt_is_refused(template: str) -> None:
    messages = render("Q?", ["A passage."], Prompt(), AnswerPart())
    with pytest.raises(CopilotError, match="chat template changes the prompt"):
        tokenize(messages, response(1), tokenizer(template=template), 1)


@pytest.mark.parametrize(
    ("count", "share", "held"), [(20, 0.1, 2), (20, 0.0, 0), (3, 0.9, 2), (1, 0.5, 0), (180, 0.05, 9)]
)
def test_held_out_rows_are_spread_and_the_same_each_time(tmp_path: Path, count: int, share: float, held: int) -> None:
    rows = rows_of(write_rows(tmp_path / "a.jsonl", count), tokenizer(template=PLAIN_TEMPLATE))
    train, out = held_out_split(rows, share)
    assert len(out) == held and len(train) + len(out) == count
    assert not {r.line for r in train} & {r.line for r in out}
    assert held_out_split(rows, share) == (train, out)
