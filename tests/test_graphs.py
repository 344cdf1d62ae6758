"""Our own decoding against transformers': each kind of model, adapters, rows that join and leave, grammars, kernels."""

import copy
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_lm
import torch

from copilot.config import SECTIONS, AnswerPart
from copilot.model.constrain import Masks, Vocabulary
from copilot.model.engine import Engine, open_engine
from copilot.model.generator import TransformersGenerator
from copilot.model.load import Loaded, load_model
from copilot.model.slots import Choice, Request
from copilot.prompt.grammar import LINE, answer_grammar
from copilot.prompt.sections import parse

SIZES = (5, 40, 1, 90, 3, 17, 41)  # tokens of the prompts
SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama3": ("Llama", {"rope_parameters": LLAMA3, "tie_word_embeddings": True, "head_dim": 16}),
    "linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}),
    "bias": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {"num_key_value_heads": 4}),
}


def build(kind: str, **changes: Any) -> Any:
    import transformers

    family, options = KINDS[kind]
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(**{**SHAPE, **options, **changes})
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    return model


def prompts(vocab: int = 300) -> list[list[int]]:
    made = torch.Generator().manual_seed(1)
    return [torch.randint(3, vocab, (n,), generator=made).tolist() for n in SIZES]


def theirs(model: Any, ids: list[int], new: int) -> list[int]:
    """transformers' greedy tokens, up to its stop token."""
    inputs = torch.tensor([ids], device=model.device)
    row = model.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=new, do_sample=False)
    tokens = row[0, len(ids) :].tolist()
    return tokens[: tokens.index(2)] if 2 in tokens else tokens


def ours(engine: Engine, asked: list[list[int]], new: int, rows: int, stops: frozenset[int]) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in asked]
    ended = set()
    for row, tokens, end in engine.generate([Request(tuple(ids), new) for ids in asked], rows, Choice(0, 1, stops)):
        assert row not in ended
        texts[row] += tokens
        ended |= {row} if end else set()
    assert ended == set(range(len(asked)))
    return texts


def opened(model: Any, length: int = 512) -> Engine:
    engine = open_engine(model, length, force=True)
    assert engine is not None
    return engine


@pytest.mark.parametrize("kind", list(KINDS))
def test_greedy_text_equals_transformers(kind: str) -> None:
    model, stops = build(kind), frozenset({2})
    wanted = [theirs(model, ids, 24) for ids in prompts()]
    engine = opened(model)
    assert ours(engine, prompts(), 24, 3, stops) == wanted
    assert [theirs(model, ids, 24) for ids in prompts()] == wanted  # its weights are views of ours now
    assert len({len(text) for text in wanted}) > 1 or len(wanted[0]) == 24


def test_logits_equal_transformers() -> None:
    model = build("llama3")
    decoder = opened(model)._decoder(2, 100)
    ids = prompts()[3]
    with torch.inference_mode():
        wanted = model(torch.tensor([ids])).logits[0]
        first = decoder.read([ids[:30], ids[:50]], [1, 0])
        torch.testing.assert_close(first, wanted[[29, 49]], rtol=1e-4, atol=1e-4)
        decoder.positions.copy_(torch.tensor([50, 30]))
        for step in range(20):
            decoder.ids.copy_(torch.tensor([ids[50 + step], ids[30 + step]]))
            decoder.run(forward=True, choose=False)
            torch.testing.assert_close(decoder.logits, wanted[[50 + step, 30 + step]], rtol=1e-4, atol=1e-4)
            decoder.positions += 1


@pytest.mark.parametrize("rows", [1, 2, 16])
def test_rows_join_and_leave(rows: int) -> None:
    """Texts of different ends share few rows; each is what it is alone."""
    model = build("llama")
    plain = [theirs(model, ids, 30) for ids in prompts()]
    stops = frozenset({2, *(text[3 + 2 * n] for n, text in enumerate(plain) if len(text) > 3 + 2 * n)})
    wanted = [text[: next((i for i, token in enumerate(text) if token in stops), len(text))] for text in plain]
    assert len({len(text) for text in wanted}) > 3
    engine = opened(model)
    for _ in range(2):  # the second time with the decoder of the first
        assert ours(engine, prompts(), 30, rows, stops) == wanted
    assert len(engine.idle) == 1


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj", "down_proj"]])
def test_an_adapter_is_added(targets: Any) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(build("llama"), LoraConfig(r=3, lora_alpha=6, target_modules=targets)).eval()
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.2)
    with model.disable_adapter():
        bare = [theirs(model, ids, 24) for ids in prompts()]
    wanted = [theirs(model, ids, 24) for ids in prompts()]
    assert bare != wanted
    assert ours(opened(model), prompts(), 24, 3, frozenset({2})) == wanted
    assert [theirs(model, ids, 24) for ids in prompts()] == wanted
    merged = model.merge_and_unload()
    assert ours(opened(merged), prompts(), 24, 3, frozenset({2})) == wanted


@pytest.mark.parametrize(
    "model",
    [
        lambda: build("mistral", sliding_window=64),
        lambda: build("llama", hidden_act="gelu"),
        lambda: build("llama", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
    ],
)
def test_models_that_the_step_does_not_know_are_left_to_transformers(model: Any) -> None:
    assert open_engine(model(), 512, force=True) is None


def test_without_a_gpu_transformers_decodes() -> None:
    assert open_engine(build("llama"), 512) is None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_model(tiny_lm.model_config(tiny_lm.save_model(tmp_path_factory.mktemp("model"))))


def generator(loaded: Loaded, engine: Any, room: int = 320, **answer: Any) -> TransformersGenerator:
    return TransformersGenerator(loaded, AnswerPart(max_new_tokens=room, **answer), 1024, 1, 2, engine)


def messages(n: int) -> list[Any]:
    from copilot.config import Prompt
    from copilot.prompt.render import render

    return render(tiny_lm.question(n), ["A `contact` has a `phone`."] * (n + 1), Prompt(), AnswerPart())


def test_texts_held_to_a_grammar_equal_those_of_transformers(loaded: Loaded) -> None:
    grammars = [answer_grammar(SECTIONS, names) for names in (["phone"], ["contact", "text"], [], None, ["phone"])]
    asked = [messages(n) for n in range(5)]
    told: list[int] = []
    made = generator(loaded, "graphs")
    texts = made.batch(asked, told.append, grammars)
    assert texts == generator(loaded, "transformers").batch(asked, grammars=grammars)
    assert all(parse(text.text, SECTIONS) for text in texts) and sum(told) == 5
    assert "".join(made.stream(asked[1], grammars[1])).strip() == texts[1].text


def test_two_streams_at_once_and_one_that_is_left(loaded: Loaded) -> None:
    made = generator(loaded, "graphs", 60)
    wanted = ["".join(made.stream(messages(n))) for n in range(2)]
    streams = [made.stream(messages(n)) for n in range(2)]
    left: Iterator[str] = made.stream(messages(3))
    next(left)
    left.close()  # type: ignore[attr-defined]
    texts = ["", ""]
    for pieces in zip(*streams, strict=False):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    for n, stream in enumerate(streams):
        texts[n] += "".join(stream)
    assert [len(text) for text in texts] == [len(text) for text in wanted]
    assert "".join(made.stream(messages(1))) == wanted[1]


def test_prose_is_held_to_its_length_though_the_masks_do_not_count(loaded: Loaded) -> None:
    """Random texts under the masks are what the grammar with its own counts accepts."""
    from llguidance import LLMatcher

    vocabulary = Vocabulary(loaded.tokenizer, loaded.model.config.vocab_size, {2})
    grammar, chance = answer_grammar(["A", "B"], ["phone"]), np.random.default_rng(0)
    decoded = {i: loaded.tokenizer.decode([i]) for i in range(3, len(loaded.tokenizer))}
    plain = {i for i, text in decoded.items() if text.isascii() and not vocabulary.breaks[i]}
    longest = 0
    for _ in range(6):
        masks, text = Masks(vocabulary, [grammar], 2, [900]), []
        strict = LLMatcher(vocabulary.engine, LLMatcher.grammar_from_lark(grammar))
        bits = np.zeros((1, -(-vocabulary.size // 32)), np.int32)
        for _ in range(900):
            masks.fill([(0, 0)], bits)
            allowed = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
            prose = [i for i in allowed if i in plain]
            token = int(chance.choice(prose if prose and chance.random() < 0.998 else allowed))
            if token == 2:
                break
            masks.take(0, token)
            text.append(token)
            assert strict.consume_token(token), (loaded.tokenizer.decode(text), strict.get_error())
        assert strict.is_accepting()
        parts = loaded.tokenizer.decode(text).replace("`", "\n").split("\n")
        longest = max(longest, *map(len, parts))
    assert LINE - 10 < longest <= LINE


KERNELS = """
import torch
from copilot.model import decode_kernels as k
from copilot.model.decode_weights import Linear
torch.manual_seed(0)
draw = lambda *shape: torch.randn(shape).half()
same = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)
x, w = draw(3, 64), draw(64)
same(k.triton_norm(x, w, 1e-5), k.norm(x, w, 1e-5))
same(k.triton_glu(x), k.glu(x))
for heads, groups in ((8, 2), (4, 4)):
    qkv, cos, sin = draw(3, (heads + 2 * groups) * 16), draw(300, 16), draw(300, 16)
    keys, values, places = draw(3, groups, 300, 16), draw(3, groups, 300, 16), torch.tensor([0, 130, 299]).int()
    other = keys.clone(), values.clone()
    same(k.triton_attend(qkv, *other, places, cos, sin, heads), k.attend(qkv, keys, values, places, cos, sin, heads))
    same(other[0], keys), same(other[1], values)
mine, plain = k.triton_ops().linear, k.torch_ops().linear
for rows, width in ((3, 64), (1, 64), (1, 1100)):
    x = draw(rows, width)
    for norm in (None, draw(width)):
        for bias in (None, draw(150)):
            part = Linear(draw(150, width) / width**0.5, bias)
            same(mine(x, part, norm, 1e-5), plain(x, part, norm, 1e-5))
            same(mine(x, part, norm, 1e-5, None, True), plain(x, part, norm, 1e-5, None, True))
            residual = draw(rows, 150)
            same(mine(x, part, norm, 1e-5, residual.clone()), plain(x, part, norm, 1e-5, residual))
print("kernels agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_kernels_equal_plain_torch_in_tritons_interpreter() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", KERNELS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
    assert "kernels agree" in done.stdout


def assert_likeliest(model: Any, exact: Any, ids: list[int], text: list[int]) -> None:
    """Each token of `text` is the likeliest after those before it, within what 16 bits move the model's own logits."""
    if not text:
        return
    inputs = torch.tensor([ids + text], device=model.device)
    with torch.inference_mode():
        rounded, true = (each(inputs).logits[0, len(ids) - 1 : -1].float() for each in (model, exact))
    noise = (rounded - true).abs().max(-1).values
    gaps = true.max(-1).values - true[range(len(text)), text]
    assert (gaps <= 2 * noise).all(), (gaps.max(), noise.max())
    assert noise.max() < 0.1 * true.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("kind", ["llama3", "qwen2"])
def test_graphs_on_a_gpu(kind: str) -> None:
    """Every token that the graphs choose is the likeliest by transformers' own logits, but for bfloat16's rounding."""
    shape = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8, "head_dim": 64}
    model = build(kind, **shape, initializer_range=0.1)
    angles = model.model.rotary_emb.inv_freq.clone()
    model = model.to("cuda", torch.bfloat16)
    model.model.rotary_emb.inv_freq = angles.to("cuda")  # in float32, as from_pretrained leaves it
    exact = copy.deepcopy(model).float()
    engine = opened(model)
    for rows in (1, 4, 32):
        texts = ours(engine, prompts() * 5, 64, rows, frozenset({2}))
        assert texts == ours(engine, prompts() * 5, 64, rows, frozenset({2}))
        for ids, text in zip(prompts(), texts, strict=False):
            assert_likeliest(model, exact, ids, text)
    assert engine.idle and engine.idle[0].graphs


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_grammars_and_seeds_on_a_gpu(tmp_path: Path) -> None:
    """In float32, graphs of plain torch: texts under a grammar are transformers' own, samples repeat by their seed."""
    loaded = load_model(tiny_lm.model_config(tiny_lm.save_model(tmp_path / "model")))
    grammars = [answer_grammar(SECTIONS, names) for names in (["phone"], ["contact", "text"], [], None, ["phone"])]
    asked = [messages(n) for n in range(5)]
    made = generator(loaded, "auto")
    texts = made.batch(asked, grammars=grammars)
    assert made._engine() is not None
    assert texts == generator(loaded, "transformers").batch(asked, grammars=grammars)
    assert "".join(made.stream(asked[1], grammars[1])).strip() == texts[1].text
    assert made.batch(asked) == generator(loaded, "transformers").batch(asked)
    drawn = [generator(loaded, "auto", 40, temperature=1.0).batch(asked) for _ in range(2)]
    sampler = generator(loaded, "auto", 40, temperature=1.0)
    assert drawn[0] == drawn[1] == sampler.batch(asked) == sampler.batch(asked) != made.batch(asked)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_four_bit_weights_on_a_gpu(tmp_path: Path) -> None:
    """The dequantised weights choose what the 4-bit model itself finds the likeliest, but for rounding."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    shape = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8, "head_dim": 64}
    # Saved in 16 bits, so that both models quantise the very same numbers.
    build("llama3", **shape, initializer_range=0.1).to(torch.bfloat16).save_pretrained(tmp_path)
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    quantised = BitsAndBytesConfig(**{**four, "bnb_4bit_compute_dtype": "bfloat16"})
    options: dict[str, Any] = {"dtype": torch.bfloat16, "quantization_config": quantised, "device_map": {"": 0}}
    model = AutoModelForCausalLM.from_pretrained(tmp_path, **options).eval()
    options["quantization_config"] = BitsAndBytesConfig(**{**four, "bnb_4bit_compute_dtype": "float32"})
    exact = AutoModelForCausalLM.from_pretrained(tmp_path, **{**options, "dtype": torch.float32}).eval()
    for ids, text in zip(prompts(), ours(opened(model), prompts(), 40, 4, frozenset({2})), strict=True):
        assert_likeliest(model, exact, ids, text)
