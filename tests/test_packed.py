"""Packs: rows in bins, each row as if it were alone, the loss and the gradients those of plain PEFT."""

import importlib.util
import random
from pathlib import Path
from typing import Any

import exact
import pytest
import tiny_lm
from hypothesis import given, settings
from hypothesis import strategies as st

from copilot.errors import CopilotError
from copilot.model import packed
from copilot.model.lora_forward import fast_adapters
from copilot.model.loss import answer_loss
from copilot.model.memory import bytes_per_token, fit
from copilot.model.packed import KINDS, check_packable, reading_packs
from copilot.model.packed_trainer import fitting, halved, held_out_sum
from copilot.model.packs import IGNORED, STRIDE, Shape, fill, lay, packs, shape_of, steps_of

Rows = list[tuple[list[int], int]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tiny_lm.save_model(tmp_path_factory.mktemp("packed") / "model")
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config)
    torch.manual_seed(1)
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def some_rows(vocab: int, lengths: tuple[int, ...] = (50, 120, 77, 200, 33, 90), seed: int = 0) -> Rows:
    draw = random.Random(seed)
    return [([draw.randrange(3, vocab) for _ in range(n)], n // 2) for n in lengths]


def gradients(model: Any) -> dict[str, Any]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def one_by_one(model: Any, rows: Rows, count: int) -> tuple[float, dict[str, Any]]:
    import torch

    model.zero_grad()
    total = 0.0
    for ids, prompt in rows:
        tokens = torch.tensor([ids])
        labels = tokens.clone()
        labels[:, :prompt] = IGNORED
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}
        loss = answer_loss(model.get_base_model(), inputs, count)
        loss.backward()
        total += float(loss.detach())
    return total, gradients(model)


def in_packs(model: Any, rows: Rows, shape: Shape, count: int, **how: bool) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    total = 0.0
    with reading_packs(model, **{"compiled": False, **how}):
        for pack in packs(rows, shape, 0):
            loss = model(**pack, count=count)["loss"]
            loss.backward()
            total += float(loss.detach())
    return total, gradients(model)


def shape_for(rows: Rows, most: int) -> Shape:
    return shape_of([len(ids) for ids, _ in rows], [list(range(len(rows)))], most)


@pytest.mark.parametrize("most", [256, 4096])
def test_loss_and_gradients_are_those_of_rows_one_by_one(model: Any, most: int) -> None:
    rows = some_rows(model.config.vocab_size)
    count = sum(len(ids) - prompt for ids, prompt in rows)
    loss, slopes = one_by_one(model, rows, count)
    packed, packed_slopes = in_packs(model, rows, shape_for(rows, most), count)
    assert packed == pytest.approx(loss, rel=1e-5)
    assert slopes.keys() == packed_slopes.keys()
    for name, slope in slopes.items():
        assert (slope - packed_slopes[name]).abs().max() <= 1e-4 * slope.abs().max(), name


def small(kind: str) -> Any:
    """A model of another kind, without a tokenizer, as PEFT wraps it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "vocab_size": 100, "pad_token_id": 0}
    window = {"sliding_window": None} if kind in ("mistral", "phi3") else {}
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape, **more, **window))
    for name, parameter in base.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    made = get_peft_model(base, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_learns_what_plain_peft_learns(kind: str) -> None:
    made = small(kind)
    rows = some_rows(100, (20, 33))
    _, slopes = one_by_one(made, rows, 10)
    _, found = in_packs(made, rows, shape_for(rows, 256), 10)
    assert slopes.keys() == found.keys()
    for name, slope in slopes.items():
        assert (slope - found[name]).abs().max() <= 1e-4 * slope.abs().max(), name


def test_four_bits_learn_what_plain_peft_learns() -> None:
    import torch

    quantised = pytest.importorskip("bitsandbytes").nn
    made = small("llama")
    for parent in list(made.modules()):
        if hasattr(parent, "base_layer"):
            old = parent.base_layer
            parent.base_layer = quantised.Linear4bit(
                old.in_features, old.out_features, bias=False, compute_dtype=torch.float32, quant_type="nf4"
            )
            parent.base_layer.load_state_dict(old.state_dict())
            parent.base_layer.to("cpu")
    rows = some_rows(100, (20, 33))
    _, slopes = one_by_one(made, rows, 10)
    _, found = in_packs(made, rows, shape_for(rows, 256), 10)
    assert slopes.keys() == found.keys()
    for name, slope in slopes.items():
        assert (slope - found[name]).abs().max() <= 1e-4 * slope.abs().max(), name


def test_in_float32_packs_and_plain_peft_are_the_same_to_rounding(tmp_path: Path) -> None:
    """What `benchmarks/train.py --only agreement` measures on a GPU: all gradients as one vector, and the loss."""
    four_bit = importlib.util.find_spec("bitsandbytes") is not None
    found = exact.agreement(str(tiny_lm.save_model(tmp_path / "model")), count=4, longest=90, four_bit=four_bit)
    apart = [values for name, values in found.items() if name.endswith("float32") and name.startswith("packs beside")]
    assert len(apart) == 1 + four_bit
    for values in apart:
        assert values["cosine"] > 0.99999 and values["off by"] < 1e-5 and abs(values["loss"]) < 1e-5
    assert found["others"] == 0.0


@pytest.mark.parametrize("how", [{"checkpointing": True}, {"compiled": True}], ids=["checkpointing", "compiled"])
def test_no_way_of_reading_changes_the_gradients(model: Any, how: dict[str, bool]) -> None:
    """Compiled as on a GPU but for the code that the compiler writes: what it sees of the layers is the same."""
    import torch

    rows = some_rows(model.config.vocab_size)
    shape = shape_for(rows, 256)  # several packs: what joined layers keep for one another does not outlive a call
    loss, slopes = in_packs(model, rows, shape, 10)
    torch._dynamo.reset()
    torch.compiler.set_default_backend("aot_eager")
    try:
        again, found = in_packs(model, rows, shape, 10, **how)
    finally:
        torch.compiler.set_default_backend(None)
        torch._dynamo.reset()
    assert again == pytest.approx(loss, rel=1e-6) and slopes.keys() == found.keys()
    for name, slope in slopes.items():
        assert (slope - found[name]).abs().max() <= 1e-5 * slope.abs().max(), name


def test_layers_of_one_input_are_one_product(model: Any) -> None:
    """q, k and v; gate and up; o and down by themselves: four products a layer, in two layers."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        names: tuple[str, ...] = ()

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.names += (str(func),)
            return func(*args, **(kwargs or {}))

    rows = some_rows(model.config.vocab_size, (40,))
    with Products() as seen:
        in_packs(model, rows, shape_for(rows, 128), 1)
    assert sum("lora_linear.default" in name for name in seen.names) == 8
    assert sum("lora_linear_backward.default" in name for name in seen.names) == 8


def test_a_layer_that_peft_must_compute_itself_is_left_to_it() -> None:
    """With dropout, DoRA or a bias of the adapter the operator is not taken, for that layer alone."""
    made = small("llama")
    base = made.get_base_model()
    own = base.model.layers[0].self_attn
    own.k_proj.use_dora["default"] = True  # one of three: the others are not joined with it
    with fast_adapters(base):
        mine = [name for name, module in base.named_modules() if "forward" in vars(module)]
        joined = [len(module.packed_group) for module in base.modules() if "packed_group" in vars(module)]
    assert len(mine) == 13 and not any("layers.0" in name and "k_proj" in name for name in mine)
    assert sorted(joined) == [1, 1, 1, 1, 1, 1, 2, 2, 3]
    assert not any("forward" in vars(module) for module in base.modules() if hasattr(module, "lora_A"))


def test_logits_in_pieces_give_the_same_gradients(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_rows(model.config.vocab_size)  # 285 answer tokens: pieces of 128, the last one filled up
    shape = shape_for(rows, 4096)
    loss, slopes = in_packs(model, rows, shape, 10)
    monkeypatch.setattr(packed, "LOGITS_BYTES", 1)
    again, found = in_packs(model, rows, shape, 10)
    assert again == pytest.approx(loss, rel=1e-6)
    for name, slope in slopes.items():
        assert (slope - found[name]).abs().max() <= 1e-5 * slope.abs().max(), name


def test_a_pack_without_loss_has_none(model: Any) -> None:
    rows = [(ids, len(ids)) for ids, _ in some_rows(model.config.vocab_size, (30, 40))]
    loss, slopes = in_packs(model, rows, shape_for(rows, 128), 1)
    assert loss == 0 and all(not slope.any() for slope in slopes.values())


def test_a_row_does_not_see_the_others(model: Any) -> None:
    rows = some_rows(model.config.vocab_size)
    silent = [(rows[0][0], len(rows[0][0])), *rows[1:]]
    other = [(some_rows(model.config.vocab_size, seed=7)[0][0], len(rows[0][0])), *rows[1:]]
    shape = shape_for(rows, 4096)
    one, two = in_packs(model, silent, shape, 1), in_packs(model, other, shape, 1)
    assert one[0] == two[0]
    assert all((one[1][name] == two[1][name]).all() for name in one[1])


def test_the_model_is_as_before_afterwards(model: Any) -> None:
    import torch

    ids = torch.tensor([[5, 6, 7, 8]])
    before = model(input_ids=ids).logits
    state = set(model.state_dict())
    with reading_packs(model, compiled=False):
        assert set(model.state_dict()) == state
    assert torch.equal(model(input_ids=ids).logits, before)


def test_held_out_loss_is_the_mean_over_answer_tokens(model: Any) -> None:
    rows = some_rows(model.config.vocab_size)
    loss, _ = one_by_one(model, rows, sum(len(ids) - prompt for ids, prompt in rows))
    with reading_packs(model, compiled=False):
        total, count = held_out_sum(model, packs(rows, fitting(rows, shape_for(rows, 256)), 0), "cpu")
    assert total / count == pytest.approx(loss, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=60), st.integers(1, 12), st.integers(0, 5))
def test_every_row_is_in_one_step_and_packs_hold_them(lengths: list[int], per_step: int, seed: int) -> None:
    steps = steps_of(lengths, per_step, seed, 512)
    assert sorted(i for step in steps for i in step) == list(range(len(lengths)))
    assert steps == steps_of(lengths, per_step, seed, 512)
    assert len(steps) == len(steps_of(lengths, per_step, seed + 1, 512)), "the plan counts them by another seed"
    shape = shape_of(lengths, steps, 512)
    assert shape.tokens % STRIDE == 0 and shape.longest >= max(lengths)
    for step in steps:
        rows = [([1] * lengths[i], 1) for i in step]
        made = packs(rows, shape, 0)
        for pack in made:
            assert pack["input_ids"].shape == pack["targets"].shape == (1, shape.tokens)
            starts = pack["cu_seq_lens_q"]
            assert len(starts) == shape.slots + 1 and int(starts[-1]) == shape.tokens
            assert int((starts[1:] - starts[:-1]).max()) <= shape.longest
        assert sum(int((pack["targets"] != IGNORED).sum()) for pack in made) == sum(len(ids) - 1 for ids, _ in rows)


@pytest.mark.parametrize(("per_step", "most"), [(8, 16384), (12, 16384), (22, 16384), (32, 16384), (16, 6000)])
def test_few_tokens_are_padding(per_step: int, most: int) -> None:
    lengths = [random.Random(i).randint(836, 2048) for i in range(1000)]
    steps = steps_of(lengths, per_step, 0, most)
    shape = shape_of(lengths, steps, most)
    assert abs(len(steps) - 1000 / per_step) <= 1 + 0.03 * 1000 / per_step and shape.tokens <= most
    read = sum(len(fill([lengths[i] for i in step], shape.tokens)) for step in steps) * shape.tokens
    assert sum(lengths) / read > 0.95


def test_best_fit_leaves_no_bin_over_full() -> None:
    assert fill([5, 3, 3, 2, 2], 6) == [[0], [1, 2], [3, 4]]


def test_smaller_packs_until_the_longest_row() -> None:
    shape = Shape(tokens=1024, longest=384, slots=8)
    smaller = halved(shape)
    assert smaller is not None and smaller.tokens == 512
    least = halved(smaller)
    assert least is not None and least.tokens == 384
    assert halved(least) is None


def test_targets_are_the_answer_tokens_alone() -> None:
    pack = lay([([7, 8, 9, 10], 2), ([4, 5], 1)], Shape(128, 128, 8), 0)
    assert pack["targets"][0, :6].tolist() == [IGNORED, 9, 10, IGNORED, 5, IGNORED]
    assert pack["position_ids"][0, :7].tolist() == [0, 1, 2, 3, 0, 1, 0]
    assert pack["cu_seq_lens_q"].tolist() == [0, 4, 6, 128, 128, 128, 128, 128, 128]


class Kind:
    """A model's configuration, as far as memory and packing ask."""

    def __init__(self, model_type: str = "llama", sliding_window: int | None = None) -> None:
        self.model_type, self.sliding_window = model_type, sliding_window
        self.hidden_size, self.intermediate_size, self.num_hidden_layers = 2048, 8192, 16
        self.num_attention_heads, self.num_key_value_heads, self.head_dim = 32, 8, 64


def test_a_model_with_other_attention_is_refused() -> None:
    check_packable(Kind())
    for other in (Kind("gemma2"), Kind("mistral", sliding_window=4096)):
        with pytest.raises(CopilotError, match=r"train\.packing does not know"):
            check_packable(other)


def test_memory_chooses_packs_and_checkpointing() -> None:
    gib = 1 << 30
    large = fit(Kind(), 16384, 2048, 76 * gib, None)
    assert (large.tokens, large.checkpointing) == (16384, False)
    small = fit(Kind(), 16384, 2048, 5 * gib, None)
    assert small.checkpointing and 2048 <= small.tokens <= 16384
    assert fit(Kind(), 16384, 2048, gib // 4, None).tokens == 2048  # never under the longest row
    assert fit(Kind(), 16384, 2048, None, None).tokens == 16384
    assert not fit(Kind(), 16384, 2048, 5 * gib, False).checkpointing
    assert bytes_per_token(Kind(), True) < bytes_per_token(Kind(), False) / 5


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_kernels_of_training_are_what_torch_computes() -> None:
    """SwiGLU and its gradient; and where flash-attn-4 is installed, attention within rows and its gradients."""
    import torch
    from torch.nn.functional import silu

    from copilot.model import glu
    from copilot.model.flash_4 import flash_4

    def draw(*shape: int, kind: Any = torch.bfloat16) -> Any:
        return torch.randn(*shape, device="cuda", dtype=kind, requires_grad=True)

    def near(found: Any, right: Any) -> None:
        assert (found.float() - right.float()).norm() < 0.01 * right.float().norm()

    glu.register()
    both = draw(2, 50, 2 * 1500)
    plain = both.detach().float().requires_grad_()
    gate, up = plain.chunk(2, -1)
    slope = draw(2, 50, 1500)
    near(torch.ops.copilot.glu(both), silu(gate) * up)
    near(
        torch.autograd.grad(torch.ops.copilot.glu(both), both, slope)[0],
        torch.autograd.grad(silu(gate) * up, plain, slope.float())[0],
    )
    attend = flash_4()
    if attend is None:
        return
    q, k, v = draw(300, 8, 64), draw(300, 2, 64), draw(300, 2, 64)
    starts = torch.tensor([0, 100, 100, 300], dtype=torch.int32, device="cuda")  # an empty row among them
    found = attend(q, k, v, starts, 200, 0.125)
    slope = torch.randn_like(found)
    exact_ = [part.detach().float().requires_grad_() for part in (q, k, v)]
    across = [part.transpose(0, 1)[None] for part in exact_]
    right = packed.packed_attention(None, *across, None, 0.125, cu_seq_lens_q=starts)[0][0]
    near(found, right)
    for got, wanted in zip(
        torch.autograd.grad(found, (q, k, v), slope), torch.autograd.grad(right, exact_, slope.float()), strict=True
    ):
        near(got, wanted)
