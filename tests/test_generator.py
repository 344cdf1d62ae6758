"""Streamed, batched and sampled answers of a tiny net against transformers' own generate, by both engines."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from tiny_lm import model_config, question, retrieve, save_model

from copilot.config import AnswerPart, Prompt
from copilot.errors import CopilotError
from copilot.model.dataset import prompt_tokens
from copilot.model.generator import TransformersGenerator
from copilot.model.load import Loaded, load_model
from copilot.prompt.render import render
from copilot.types import Message

PROMPT = Prompt(system="Answer in {count} parts.")
both = pytest.mark.parametrize("engine", ["transformers", "graphs"])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_model(model_config(save_model(tmp_path_factory.mktemp("lm") / "model")))


def generator(
    loaded: Loaded, max_length: int = 1024, seed: int = 1, batch: int = 16, engine: Any = "auto", **answer: Any
) -> TransformersGenerator:
    config = AnswerPart(**{"max_new_tokens": 40, **answer})
    return TransformersGenerator(loaded, config, max_length, seed, batch, engine)


def messages(n: int) -> list[Message]:
    """Prompts of very different lengths."""
    passages = [hit.chunk.passage for hit in retrieve(question(n))] * (n + 1)
    return render(question(n), passages, PROMPT, AnswerPart())


def plain(loaded: Loaded, asked: Sequence[Message], new: int) -> list[int]:
    """Token ids of transformers' greedy answer, the stop token left out."""
    import torch

    ids = torch.tensor([prompt_tokens(asked, loaded.tokenizer)])
    out = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
    row = out[0, ids.shape[1] :].tolist()
    return row[: row.index(loaded.tokenizer.eos_token_id)] if loaded.tokenizer.eos_token_id in row else row


@both
def test_stream_equals_batch_equals_transformers(loaded: Loaded, engine: str) -> None:
    made = generator(loaded, engine=engine)
    (done,) = made.batch([messages(0)])
    ids = plain(loaded, messages(0), 40)
    assert len(ids) > 5
    assert "".join(made.stream(messages(0))).strip() == done.text == loaded.tokenizer.decode(ids).strip()
    assert done.completion_tokens == len(ids)
    assert done.prompt_tokens == made.count(messages(0)) == len(prompt_tokens(messages(0), loaded.tokenizer))


@pytest.mark.parametrize("size", [16, 2])
@both
def test_batch_of_different_lengths_equals_one_by_one(loaded: Loaded, engine: str, size: int) -> None:
    made, order, told = generator(loaded, engine=engine, batch=size), [3, 0, 2, 1, 0], []
    together = made.batch([messages(n) for n in order], told.append)
    assert len({t.prompt_tokens for t in together}) == 4
    assert together == [made.batch([messages(n)])[0] for n in order]
    assert sum(told) == 5
    assert made.batch([]) == []


@both
def test_batch_near_the_limit_gives_each_row_its_own_room(loaded: Loaded, engine: str) -> None:
    longest = generator(loaded, engine=engine).count(messages(3))
    made = generator(loaded, engine=engine, max_length=longest + 5)
    together = made.batch([messages(3), messages(0)])
    assert together == [made.batch([messages(n)])[0] for n in (3, 0)]
    assert together[0].completion_tokens <= 5 < together[1].completion_tokens
    assert "".join(made.stream(messages(3))).strip() == together[0].text


@both
def test_sampling_repeats_by_seed(loaded: Loaded, engine: str) -> None:
    texts = ["".join(generator(loaded, engine=engine, seed=s, temperature=1.0).stream(messages(1))) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    batches = [
        generator(loaded, engine=engine, seed=s, temperature=1.0).batch([messages(1), messages(2)]) for s in (1, 1, 2)
    ]
    assert batches[0] == batches[1] != batches[2]
    assert texts[0].strip() != generator(loaded, engine=engine).batch([messages(1)])[0].text


@both
def test_temperature_zero_ignores_the_models_own_sampling(loaded: Loaded, engine: str) -> None:
    wanted = generator(loaded, engine=engine).batch([messages(1)])
    own = loaded.model.generation_config
    own.do_sample, own.temperature, own.top_p, own.top_k = True, 1.8, 0.9, 50
    try:
        assert generator(loaded, engine=engine).batch([messages(1)]) == wanted
        assert "".join(generator(loaded, engine=engine).stream(messages(1))).strip() == wanted[0].text
    finally:
        own.do_sample, own.temperature, own.top_p, own.top_k = False, None, None, None


@both
def test_prompt_longer_than_the_model_is_refused(loaded: Loaded, engine: str) -> None:
    count = generator(loaded, engine=engine).count(messages(1))
    made = generator(loaded, engine=engine, max_length=count)
    for ask in (lambda: made.batch([messages(1)]), lambda: list(made.stream(messages(1)))):
        with pytest.raises(CopilotError, match=f"the prompt has {count} tokens, and the model reads {count}") as caught:
            ask()
        assert "retriever.k" in caught.value.hint and "model.max_length" in caught.value.hint
    assert generator(loaded, engine=engine, max_length=count + 2).batch([messages(1)])[0].completion_tokens <= 2


@both
def test_stop_tokens_end_the_answer(loaded: Loaded, engine: str) -> None:
    """A token of the greedy answer becomes a stop token: the answer ends before it, streamed and batched."""
    ids = plain(loaded, messages(0), 40)
    stop = next(t for t in ids[3:] if t not in ids[:3])
    cut = ids[: ids.index(stop)]
    own = loaded.model.generation_config
    before = own.eos_token_id
    own.eos_token_id = [loaded.tokenizer.eos_token_id, stop]
    try:
        (done,) = generator(loaded, engine=engine).batch([messages(0)])
        streamed = "".join(generator(loaded, engine=engine).stream(messages(0)))
        mixed = generator(loaded, engine=engine).batch([messages(0), messages(3)])[0]
    finally:
        own.eos_token_id = before
    assert done.completion_tokens == len(cut) and done == mixed
    assert done.text == streamed.strip() == loaded.tokenizer.decode(cut).strip()


class Failing:
    """A model that fails in the middle of its third token."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def __call__(self, module: Any, args: Any, output: Any) -> None:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("the third token broke")


def test_stream_carries_the_error_of_its_thread(loaded: Loaded) -> None:
    hook = loaded.model.lm_head.register_forward_hook(Failing(loaded.model))
    try:
        with pytest.raises(RuntimeError, match="the third token broke"):
            list(generator(loaded).stream(messages(0)))
    finally:
        hook.remove()
    assert "".join(generator(loaded).stream(messages(0)))


class Slow:
    """A model that takes its time for each token."""

    calls = 0

    def __call__(self, module: Any, args: Any, output: Any) -> None:
        Slow.calls += 1
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_leaving_a_stream_ends_its_thread(loaded: Loaded, how: str) -> None:
    """900 tokens at 20 ms would take 18 s; the thread ends with the token that it is at."""
    Slow.calls = 0
    made = generator(loaded, max_new_tokens=900, temperature=2.0)
    made.tokenizer.eos_token, kept = made.tokenizer.pad_token, made.tokenizer.eos_token
    hook = loaded.model.lm_head.register_forward_hook(Slow())
    began, others = time.monotonic(), set(threading.enumerate())
    try:
        stream = made.stream(messages(0))
        next(piece for piece in stream if piece)
        if how == "close":
            stream.close()  # type: ignore[attr-defined]
        else:
            with pytest.raises(KeyboardInterrupt):
                stream.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
        assert set(threading.enumerate()) <= others
    finally:
        hook.remove()
        made.tokenizer.eos_token = kept
    assert time.monotonic() - began < 10 and Slow.calls < 400


@both
def test_pieces_come_before_the_end_and_join_to_the_text(loaded: Loaded, engine: str) -> None:
    pieces = list(generator(loaded, engine=engine, max_new_tokens=200, temperature=1.5).stream(messages(1)))
    assert len([p for p in pieces if p]) > 1
    (whole,) = generator(loaded, engine=engine, max_new_tokens=200, temperature=1.5).batch([messages(1)])
    assert "".join(pieces).strip() == whole.text


@both
@pytest.mark.parametrize("grammar", [None, 'start: "One." | "Two, and no more."'])
def test_what_ended_an_answer_early_is_kept_until_the_next(loaded: Loaded, engine: str, grammar: str | None) -> None:
    made = generator(loaded, engine=engine, max_new_tokens=3)
    list(made.stream(messages(1), grammar))
    assert made.cut == "answer.max_new_tokens (3)"
    made.max_length = made.count(messages(1)) + 2
    list(made.stream(messages(1), grammar))
    assert made.cut == f"model.max_length ({made.max_length})"
    made = generator(loaded, engine=engine, max_new_tokens=200, sections=["One"])
    list(made.stream(messages(1), 'start: "One." | "Two, and no more."'))
    assert made.cut == ""


def test_the_same_prompts_are_read_once(loaded: Loaded) -> None:
    made = generator(loaded, max_new_tokens=6)
    first = made.batch([messages(1), messages(2)])
    seen: list[int] = []
    handle = loaded.model.register_forward_pre_hook(
        lambda module, args, options: seen.append(options["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        assert made.batch([messages(1), messages(2)]) == first
        assert set(seen) == {1}  # decoding steps alone
        assert made.batch([messages(2), messages(3)])[0] == first[1]
        assert len([n for n in seen if n > 1]) == 1  # the new prompt
        assert len(made.read) == 2
    finally:
        handle.remove()
