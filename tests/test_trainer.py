"""Training on a tiny net: what is refused before, what changes, what is written, and the loss against transformers'."""

import importlib.util
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_lm import model_config, rows_of, save_model, train_config, write_rows

from copilot.config import Config, Train
from copilot.errors import CopilotError, StaleError
from copilot.model import artefact
from copilot.model.dataset import Row, held_out_split
from copilot.model.load import Loaded, add_adapter, load_model
from copilot.model.loss import answer_loss, batch_of, giving_loss, held_out_sum
from copilot.model.plan import plan
from copilot.model.trainer import Trained, _dataset, make_trainer, train_adapter
from copilot.model.watch import exhausted
from copilot.pipeline import _loss_sentence


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("lm") / "model")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    return rows_of(write_rows(folder.parent / "train.jsonl", 14), load_model(model_config(folder)).tokenizer)


@contextmanager
def trainer_for(
    folder: Path,
    rows: list[Row],
    config: Train,
    checkpoints: Path,
    held_out: Sequence[Row] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Any]:
    loaded = add_adapter(load_model(model_config(folder)), config.lora, 1, False)
    with make_trainer(loaded, rows, config, model_config(folder), 1, checkpoints, held_out, say=say) as trainer:
        yield trainer


def silent(step: int, steps: int, loss: float, held_out: float | None = None) -> None:
    pass


def train(folder: Path, rows: list[Row], tmp: Path, held: float = 0.15, **options: Any) -> tuple[Loaded, Trained]:
    kept, out = held_out_split(rows, held)
    loaded, config = load_model(model_config(folder)), train_config(**options)
    return train_adapter(loaded, kept, out, config, model_config(folder), 1, tmp / "checkpoints", "f", False, silent)


# What is refused before training


def test_row_that_would_be_cut(folder: Path, rows: list[Row]) -> None:
    longest = max(rows, key=lambda r: len(r.input_ids))
    limit = len(longest.input_ids)
    assert plan(rows, [], train_config(), model_config(folder, max_length=limit)).longest == limit
    for kept, out in ((rows, []), ([r for r in rows if r is not longest], [longest])):
        with pytest.raises(CopilotError, match="its answer would be cut") as caught:
            plan(kept, out, train_config(data="a.jsonl"), model_config(folder, max_length=limit - 1))
        assert str(limit) in caught.value.hint and "model.max_length" in caught.value.hint
        assert caught.value.message.startswith("a.jsonl:")


def test_row_without_loss_tokens(folder: Path, rows: list[Row]) -> None:
    bare = replace(rows[3], prompt_length=len(rows[3].input_ids))
    with pytest.raises(CopilotError, match=r"a\.jsonl:4: no token of this row carries loss") as caught:
        plan([*rows[:3], bare], [], train_config(data="a.jsonl"), model_config(folder))
    assert caught.value.hint


def test_too_few_steps(folder: Path, rows: list[Row]) -> None:
    few = train_config(min_steps=8, num_train_epochs=0.3)
    with pytest.raises(CopilotError, match=r"make 2 optimizer steps, fewer than train.min_steps \(8\)") as caught:
        plan(rows, [], few, model_config(folder))
    assert "train.min_steps" in caught.value.hint
    assert plan(rows, [], few.model_copy(update={"min_steps": 2}), model_config(folder)).steps == 2


@pytest.mark.parametrize("pack_tokens", [16384, 256])
def test_packs_train_as_rows_do(folder: Path, rows: list[Row], tmp_path: Path, pack_tokens: int) -> None:
    """The same steps of the same rows: the same losses and the same adapter, however the packs are cut."""
    import torch

    options = {"per_device_train_batch_size": len(rows), "gradient_accumulation_steps": 1, "num_train_epochs": 3}
    found = []
    for packing in (False, True):
        config = train_config(packing=packing, pack_tokens=pack_tokens, **options)
        with trainer_for(folder, rows, config, tmp_path / str(packing), held_out=rows[:3]) as trainer:
            before = trainer.held_out_loss()
            trainer.train()
            log = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            weights = {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
            found.append((before, log, weights, trainer.held_out_loss()))
    (before, log, weights, after), (packed_before, packed_log, packed_weights, packed_after) = found
    assert packed_before == pytest.approx(before, rel=1e-5) and packed_after == pytest.approx(after, rel=1e-4)
    assert len(log) == 3 and packed_log == pytest.approx(log, rel=1e-4)
    for name, weight in weights.items():
        assert torch.allclose(weight, packed_weights[name], atol=2e-4), name


def test_packs_that_do_not_fit_are_halved(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    """A model that refuses packs over 600 tokens, as a GPU without more memory would."""
    import torch

    config = train_config(packing=True, per_device_train_batch_size=len(rows))
    said: list[str] = []
    with trainer_for(folder, rows, config, tmp_path / "c", say=said.append) as trainer:
        base = trainer.model.get_base_model()
        forward = base.forward

        def with_little_memory(**pack: Any) -> Any:
            if pack["input_ids"].shape[1] > 600:
                raise torch.OutOfMemoryError("out of memory")
            return forward(**pack)

        base.forward = with_little_memory
        trainer.train()
        base.forward = forward
        assert trainer.pack_shape.tokens <= 600
    assert any("do not fit, going on with" in line for line in said)


def test_plan_counts(folder: Path, rows: list[Row]) -> None:
    made = plan(rows[:10], rows[10:], train_config(), model_config(folder))
    assert (made.rows, made.held_out) == (10, len(rows) - 10)
    assert made.tokens == sum(len(r.input_ids) for r in rows[:10])
    assert made.loss_tokens == sum(len(r.input_ids[r.prompt_length :]) for r in rows[:10])


SIZES = [(1, 1, 1, 1, -1), (7, 2, 3, 2, -1), (7, 2, 3, 0.3, -1), (14, 2, 6, 0.3, -1), (5, 2, 2, 1.5, -1)]
SIZES += [(9, 4, 1, 2.4, -1), (5, 2, 2, 1, 4), (5, 2, 2, 9, 3), (6, 2, 2, 1, 0)]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch", "gather", "epochs", "max_steps"), SIZES)
def test_plan_counts_the_steps_that_are_made(
    folder: Path, rows: list[Row], tmp_path: Path, count: int, batch: int, gather: int, epochs: float, max_steps: int
) -> None:
    options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": gather}
    config = train_config(num_train_epochs=epochs, max_steps=max_steps, **options)
    for packing in (False, True):
        config = config.model_copy(update={"packing": packing})
        with trainer_for(folder, rows[:count], config, tmp_path / "c") as trainer:
            assert trainer.train().global_step == plan(rows[:count], [], config, model_config(folder)).steps


# The loss


def by_hand(rows: list[Row], pad: int) -> dict[str, Any]:
    """A right-padded batch by hand."""
    import torch

    longest = max(len(r.input_ids) for r in rows)
    ids, mask, labels = [], [], []
    for row in rows:
        more = longest - len(row.input_ids)
        ids.append([*row.input_ids, *[pad] * more])
        mask.append([1] * len(row.input_ids) + [0] * more)
        labels.append([-100] * row.prompt_length + list(row.input_ids[row.prompt_length :]) + [-100] * more)
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}


def test_loss_and_gradients_equal_those_of_transformers(folder: Path, rows: list[Row]) -> None:
    import torch

    loaded = add_adapter(load_model(model_config(folder)), train_config().lora, 1, False)
    lora = {n: p for n, p in loaded.model.named_parameters() if p.requires_grad}
    assert lora and all("lora_" in name for name in lora)
    torch.manual_seed(3)
    for parameter in lora.values():  # a fresh B is zero, and so would be the gradient of A
        parameter.data.normal_(0, 0.1)
    batch = by_hand(rows[:3], loaded.tokenizer.pad_token_id)
    for count in (None, torch.tensor(777)):
        theirs = loaded.model(**batch, **({} if count is None else {"num_items_in_batch": count})).loss
        wanted = torch.autograd.grad(theirs, list(lora.values()))
        ours = answer_loss(loaded.model.get_base_model(), batch, count)
        found = torch.autograd.grad(ours, list(lora.values()))
        assert abs(ours.item() - theirs.item()) < 1e-5
        for name, a, b in zip(lora, found, wanted, strict=True):
            assert torch.allclose(a, b, atol=1e-5, rtol=1e-4), name
            assert a.abs().max() > 0, name


def test_loss_of_a_model_that_bends_its_logits(rows: list[Row]) -> None:
    """Gemma 2 caps its logits after the head; the loss must go through that too."""
    import torch
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Gemma2Config(vocab_size=400, num_key_value_heads=2, head_dim=8, final_logit_softcapping=0.5, **sizes)
    net, batch = Gemma2ForCausalLM(config).eval(), by_hand(rows[:3], 0)
    with torch.inference_mode():
        assert abs(answer_loss(net, batch).item() - net(**batch).loss.item()) < 1e-5


def test_trl_feeds_the_rows_uncut_with_loss_on_the_answer_alone(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    config = train_config(per_device_train_batch_size=3)
    with trainer_for(folder, rows[:6], config, tmp_path / "c") as trainer:
        batches = list(trainer.get_train_dataloader())
    fed = set()
    for batch in batches:
        for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
            kept = int(mask.sum())
            assert mask[:kept].all()
            fed.add((tuple(ids[:kept].tolist()), tuple(labels[:kept].tolist())))
            assert (labels[kept:] == -100).all()
    wanted = {(r.input_ids, (-100,) * r.prompt_length + r.input_ids[r.prompt_length :]) for r in rows[:6]}
    assert fed == wanted


def test_batch_equals_one_made_by_hand(rows: list[Row]) -> None:
    wanted, found = by_hand(rows[:3], 0), batch_of(rows[:3], 0, "cpu")
    assert found.keys() == wanted.keys()
    assert all((found[name] == wanted[name]).all() for name in wanted)


def test_accumulated_step_is_the_mean_over_all_answer_tokens(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    """One SGD step over two batches equals one step on transformers' loss over all their rows at once."""
    import torch

    rate = 0.1
    options = {"optim": "sgd", "learning_rate": rate, "lr_scheduler_type": "constant", "warmup_steps": 0}
    config = train_config(max_steps=1, max_grad_norm=1e9, **options)
    loaded = add_adapter(load_model(model_config(folder)), config.lora, 1, False)
    lora = {n: p for n, p in loaded.model.named_parameters() if p.requires_grad}
    torch.manual_seed(3)
    for parameter in lora.values():
        parameter.data.normal_(0, 0.1)
    start = {n: p.detach().clone() for n, p in lora.items()}
    loss = loaded.model(**by_hand(rows[:4], 0)).loss
    gradients = torch.autograd.grad(loss, list(lora.values()))
    with make_trainer(loaded, rows[:4], config, model_config(folder), 1, tmp_path / "c") as trainer:
        trainer.train()
    assert abs(trainer.state.log_history[0]["loss"] - loss.item()) < 1e-4
    for (name, parameter), gradient in zip(lora.items(), gradients, strict=True):
        assert torch.allclose(parameter.detach(), start[name] - rate * gradient, atol=1e-5), name


def test_loss_comes_through_the_model_that_is_called_and_goes_again(folder: Path, rows: list[Row]) -> None:
    """A wrapper sees the call (so DDP would), and afterwards the model gives logits as before."""
    import torch

    calls = []

    class Wrapper(torch.nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, **inputs: Any) -> Any:
            calls.append(sorted(inputs))
            return self.module(**inputs)

    model = add_adapter(load_model(model_config(folder)), train_config().lora, 1, False).model
    batch = by_hand(rows[:3], 0)
    wanted, before = model(**batch), dict(vars(model.get_base_model()))
    with giving_loss(model):
        with giving_loss(model):
            loss = Wrapper(model)(**batch, count=None)["loss"]
        assert torch.equal(model(**batch)["loss"], loss)
    assert calls == [["attention_mask", "count", "input_ids", "labels"]]
    assert abs(loss.item() - wanted.loss.item()) < 1e-5
    assert vars(model.get_base_model()).keys() == before.keys()
    assert torch.equal(model(**batch).logits, wanted.logits)


@pytest.mark.parametrize("batch", [1, 3])
def test_held_out_loss_is_the_mean_over_answer_tokens(
    folder: Path, rows: list[Row], tmp_path: Path, batch: int
) -> None:
    config = train_config(per_device_train_batch_size=batch)
    with trainer_for(folder, rows[:2], config, tmp_path / "c", rows[2:6]) as trainer:
        found = trainer.held_out_loss()
    wanted = trainer.model(**by_hand(rows[2:6], 0)).loss.item()
    assert found is not None and abs(found - wanted) < 1e-5
    total, count = held_out_sum(trainer.model, rows[2:6], 2, 0).tolist()
    assert abs(total / count - wanted) < 1e-5
    with trainer_for(folder, rows[:2], config, tmp_path / "d") as trainer:
        assert trainer.held_out_loss() is None


def test_dataset_masks_the_prompt(rows: list[Row]) -> None:
    for row, made in zip(rows, _dataset(rows), strict=True):
        assert made["input_ids"] == list(row.input_ids)
        mask = made["completion_mask"]
        assert mask.index(1) == mask.count(0) == row.prompt_length


# What training does


@pytest.mark.slow
def test_parameters_change_loss_falls_and_the_folder_is_what_peft_opens(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    steps: list[tuple[Any, ...]] = []
    kept, out = held_out_split(rows, 0.15)
    config, model = train_config(num_train_epochs=3, eval_steps=4), model_config(folder)
    loaded = load_model(model)
    base = {n: p.detach().clone() for n, p in loaded.model.named_parameters()}
    trained, done = train_adapter(
        loaded, kept, out, config, model, 1, tmp_path / "c", "f", False, lambda *step: steps.append(step)
    )
    assert done.loss_before is not None and done.loss_after is not None and done.loss_after < done.loss_before
    assert done.adapter_norm > 0 and math.isfinite(done.adapter_norm)
    planned = plan(kept, out, config, model)
    assert done.steps == planned.steps == done.kept_step == 9
    logged = [s for s in steps if len(s) == 3]
    assert [s[0] for s in logged] == list(range(1, 10)) and {s[1] for s in steps} == {9}
    assert done.curve == ((0, done.loss_before), *((s[0], s[3]) for s in steps if len(s) == 4))
    assert [step for step, _ in done.curve] == [0, 4, 8, 9] and done.curve[-1][1] == done.loss_after
    assert [entry["step"] for entry in done.log] == list(range(10))
    assert [entry["loss"] for entry in done.log[1:]] == [s[2] for s in logged]
    assert tuple((e["step"], e["held_out_loss"]) for e in done.log if "held_out_loss" in e) == done.curve
    assert done.log[-1]["loss"] < done.log[1]["loss"]
    named = trained.model.named_parameters()
    frozen = {n.removeprefix("base_model.model.").replace(".base_layer", ""): p for n, p in named}
    assert all(torch.equal(frozen[name], weights) for name, weights in base.items()), "the base must not change"

    made = tmp_path / "adapter"
    whole = Config(model=model, train=config)
    artefact.save_adapter(made, trained, planned, done, whole, {"fingerprint": "f"})
    names = {p.name for p in made.iterdir()}
    assert names >= {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja"}
    assert names >= {"README.md", "training_log.jsonl", "loss.png", "config.yaml", "manifest.json"}
    assert not {p.suffix for p in made.rglob("*")} & {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
    log = [json.loads(line) for line in (made / "training_log.jsonl").read_text("utf-8").splitlines()]
    assert log == [dict(entry) for entry in done.log]
    assert (made / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (made / "README.md").read_text("utf-8")
    assert "base_model:" in card and f"{done.loss_before:.3f} before" in card and f"{done.curve[1][1]:.3f} at 4" in card
    assert str(folder.parent) not in card
    assert (made / "config.yaml").read_text("utf-8") == whole.to_yaml()
    assert artefact.load_manifest(made, "")["adapter_norm"] == done.adapter_norm

    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    opened = PeftModel.from_pretrained(plain, str(made)).eval()
    ids = torch.tensor([rows[0].input_ids])
    trained.model.eval()
    with torch.inference_mode():
        ours, theirs = trained.model(input_ids=ids).logits, opened(input_ids=ids).logits
        ours_again = load_model(model, made).model(input_ids=ids).logits
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(ours_again, ours, rtol=1e-5, atol=1e-5)  # merged into the weights: rounding alone
    tok = AutoTokenizer.from_pretrained(made)
    assert tok.chat_template == trained.tokenizer.chat_template


def test_missing_adapter_is_stale(tmp_path: Path) -> None:
    with pytest.raises(StaleError, match="no trained adapter") as caught:
        artefact.load_manifest(tmp_path / "adapter", "run copilot train")
    assert caught.value.hint == "run copilot train" and caught.value.code == 3


@pytest.mark.slow
def test_worse_held_out_loss_is_an_error(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    """Held-out rows that the model answers so of itself: whatever it learns makes them less likely."""
    import torch

    loaded, config = load_model(model_config(folder)), train_config(learning_rate=0.1, max_steps=4, warmup_steps=0)
    asked = torch.tensor([rows[-1].input_ids[: rows[-1].prompt_length]])
    said = loaded.model.generate(input_ids=asked, max_new_tokens=20, do_sample=False)[0].tolist()
    arguments = (rows[:-1], [replace(rows[-1], input_ids=tuple(said))], config, model_config(folder))
    with pytest.raises(CopilotError, match=r"did not lower the held-out loss: .* before, .* after") as caught:
        train_adapter(loaded, *arguments, 1, tmp_path / "checkpoints", "f", False, silent)
    assert "learning_rate" in caught.value.hint and caught.value.code == 1


@pytest.mark.slow
def test_adapter_that_did_not_change_is_an_error(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(CopilotError, match="changed nothing"):
        train(folder, rows, tmp_path, held=0.0, learning_rate=1e-30, max_steps=1, warmup_steps=0, optim="sgd")


@pytest.mark.slow
def test_training_without_held_out_rows(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    _, done = train(folder, rows, tmp_path, held=0.0, max_steps=2)
    assert done.loss_before is None and done.loss_after is None and done.adapter_norm > 0


def test_unknown_layers_are_named(folder: Path) -> None:
    config = train_config(lora={"target_modules": ["no_such_layer"]})
    with pytest.raises(CopilotError, match=r"train\.lora\.target_modules"):
        add_adapter(load_model(model_config(folder)), config.lora, 1, False)


# Early stopping, memory, and where else the log goes


@pytest.mark.slow
def test_early_stopping_keeps_the_best_adapter(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    """Three rows that end in one token for ever: the held-out loss falls with their beginning, then rises."""
    import torch

    options = {"learning_rate": 0.1, "num_train_epochs": 60, "eval_steps": 2, "warmup_steps": 0, "save_total_limit": 1}
    config = train_config(early_stopping_patience=3, **options)
    model, loaded = model_config(folder), load_model(model_config(folder))
    half = [(row.prompt_length + len(row.input_ids)) // 2 for row in rows[:3]]
    ends = [row.input_ids[-2:-1] * (len(row.input_ids) - n) for row, n in zip(rows[:3], half, strict=True)]
    learnt = [replace(r, input_ids=r.input_ids[:n] + end) for r, n, end in zip(rows[:3], half, ends, strict=True)]
    arguments = (learnt, rows[8:], config, model, 1, tmp_path / "c", "f")
    trained, done = train_adapter(loaded, *arguments, False, silent)
    curve = dict(done.curve)
    assert done.steps < plan(learnt, rows[8:], config, model).steps, "it must have ended early"
    assert done.steps == done.kept_step + 3 * 2 and done.kept_step > 0
    assert done.loss_after == curve[done.kept_step] == min(curve.values()) < curve[done.steps]
    with trainer_for(folder, rows[:1], config, tmp_path / "d", rows[8:]) as trainer:
        theirs = torch.nn.Module.state_dict(trained.model)
        trainer.model.load_state_dict(theirs)
        assert trainer.held_out_loss() == done.loss_after, "the weights are those of the best step"

    again, same = train_adapter(load_model(model), *arguments, True, silent)  # killed before the adapter was saved
    assert (same.steps, same.kept_step, same.curve) == (done.steps, done.kept_step, done.curve)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), trained.model.parameters(), strict=True))

    shutil.rmtree(tmp_path / "c" / f"checkpoint-{done.steps}")  # killed a little before the end
    again, same = train_adapter(load_model(model), *arguments, True, silent)
    assert (same.steps, same.kept_step, same.curve) == (done.steps, done.kept_step, done.curve)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), trained.model.parameters(), strict=True))

    made = tmp_path / "adapter"
    artefact.save_adapter(
        made, trained, plan(learnt, rows[8:], config, model), done, Config(model=model, train=config), {}
    )
    assert f"the adapter is that of step {done.kept_step}, the best" in (made / "README.md").read_text("utf-8")
    assert _loss_sentence(done).endswith(f"the best at step {done.kept_step}")


def test_early_stopping_needs_held_out_rows(folder: Path, rows: list[Row]) -> None:
    with pytest.raises(CopilotError, match="early_stopping_patience needs held-out rows") as caught:
        plan(rows, [], train_config(early_stopping_patience=2), model_config(folder))
    assert caught.value.code == 2 and "train.held_out" in caught.value.hint


@pytest.mark.parametrize(
    ("losses", "patience", "stop"),
    [
        ([3, 2, 1], 1, False),
        ([3, 2, 2], 1, True),  # no better is no better
        ([3, 2, 2.5], 2, False),
        ([3, 2, 2.5, 2.2], 2, True),
        ([3, 2, 2.5, 1.9], 2, False),
        ([3, 4, 5], 2, True),  # never better than before training
        ([3, 4, 5], None, False),
        ([], 1, False),
    ],
)
def test_patience(losses: list[float], patience: int | None, stop: bool) -> None:
    assert exhausted(tuple(enumerate(losses)), patience) is stop


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, True])
def test_too_little_memory_is_one_sentence(folder: Path, rows: list[Row], tmp_path: Path, packing: bool) -> None:
    import torch

    class Full(torch.nn.Module):
        """A layer for which there is no memory left."""

        def forward(self, *args: Any, **options: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")

    loaded = load_model(model_config(folder))
    loaded.model.model.norm = Full()
    config = train_config(packing=packing)
    with pytest.raises(CopilotError, match="memory of the GPU is too small for this training") as caught:
        train_adapter(loaded, rows, [], config, model_config(folder), 1, tmp_path / "c", "f", False, silent)
    assert caught.value.code == 1 and "\n" not in caught.value.message
    assert ("train.pack_tokens" if packing else "train.per_device_train_batch_size=1") in caught.value.hint


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_report_to_a_package_that_is_missing(folder: Path, rows: list[Row], name: str) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(CopilotError, match=rf"train\.report_to={name} needs the package {name}") as caught:
        plan(rows, [], train_config(report_to=name), model_config(folder))
    assert caught.value.code == 2 and f"pip install {name}" in caught.value.hint


@pytest.mark.slow
def test_tensorboard_gets_both_losses(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, done = train(folder, rows, tmp_path, report_to="tensorboard", max_steps=4, eval_steps=2)
    events = EventAccumulator(str(tmp_path / "tensorboard"))  # beside the checkpoints, which go
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [1, 2, 3, 4]
    found = {e.step: e.value for e in events.Scalars("eval/loss")}
    assert found == pytest.approx({step: loss for step, loss in done.curve if step})
