"""Training speed on a GPU: the notebook's recipe, unsloth's and TRL's packing, and `train.packing`, in one call.

    python benchmarks/train.py CHECKPOINT [--out FILE] [--only ours,trl ...]

CHECKPOINT is a model folder of the Llama-3.2-1B shape (benchmarks/make_checkpoint.py makes one). Each variant runs in a
process of its own, since unsloth patches what it imports. Rows have 836 to 2,048 tokens; only real tokens count. A
variant with "no cudnn" ran with torch's cuDNN attention switched off, which may plan anew for each length. The floor is
what LoRA must compute, 4 operations for each parameter and token, at the speed of a bf16 product measured here.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

VARIANTS = {
    "notebook": "the notebook's recipe: unsloth, nf4, r=4 q/k/v, 2 x 6, checkpointing",
    "notebook-hf": "the same recipe on transformers + PEFT + bitsandbytes",
    "unsloth": "unsloth, nf4, r=16 all linear, 8 rows, packing",
    "trl": "transformers + PEFT, bf16, r=16 all linear, 8 rows, packing",
    "ours": "ours, nf4, r=16 all linear, packs",
    "ours-bf16": "ours, bf16 base",
    "ours-completion": "ours, nf4, loss on the completion only",
    "forward": "our forward in a bare loop, nf4",
    "forward-bf16": "our forward in a bare loop, bf16 base",
    "forward-completion": "our forward in a bare loop, nf4, loss on the completion only",
}
PEERS = ("notebook", "notebook-hf", "unsloth", "trl")
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def rows(count: int, seed: int = 0) -> list[list[int]]:
    """Token ids of rows of 836 to 2,048 tokens."""
    draw = random.Random(seed)
    return [[draw.randrange(1000, 100_000) for _ in range(draw.randint(836, 2048))] for _ in range(count)]


def load(folder: str, four_bit: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": 0}}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return AutoModelForCausalLM.from_pretrained(folder, **options)


def with_lora(model: Any, rank: int, targets: list[str]) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM"))


def tokenizer_of(folder: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


class Clock:
    """Seconds and real tokens of the steps after the first few."""

    def __init__(self, warm: int) -> None:
        import torch
        from transformers import TrainerCallback

        clock, self.warm, self.ends, self.losses = self, warm, [], []

        class Ends(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                torch.cuda.synchronize()
                clock.ends.append(time.perf_counter())

            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                if logs and "loss" in logs:
                    clock.losses.append(round(float(logs["loss"]), 4))

        self.callback = Ends()

    def seconds(self) -> float:
        """Mean seconds of a step, the first ones apart."""
        return (self.ends[-1] - self.ends[self.warm - 1]) / (len(self.ends) - self.warm)


def peer(name: str, folder: str, cudnn: bool, steps: int) -> dict[str, Any]:
    """One of the others, by TRL's SFTTrainer as its documentation shows it."""
    unsloth, notebook = name in ("notebook", "unsloth"), name.startswith("notebook")
    if unsloth:
        import unsloth as _  # noqa: F401  before transformers
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    torch.backends.cuda.enable_cudnn_sdp(cudnn)
    rank, targets = (4, ["q_proj", "k_proj", "v_proj"]) if notebook else (16, ALL_LINEAR)
    if unsloth:
        from unsloth import FastLanguageModel

        model, tokenizer = FastLanguageModel.from_pretrained(folder, max_seq_length=2048, load_in_4bit=True)
        model = FastLanguageModel.get_peft_model(
            model,
            r=rank,
            lora_alpha=2 * rank,
            lora_dropout=0,
            target_modules=targets,
            use_gradient_checkpointing="unsloth" if notebook else False,
        )
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    else:
        model = load(folder, four_bit=notebook)
        if notebook:
            from peft import prepare_model_for_kbit_training

            model = prepare_model_for_kbit_training(model)
        model, tokenizer = with_lora(model, rank, targets), tokenizer_of(folder)
    batch, accumulation = (2, 6) if notebook else (8, 1)
    data = rows(batch * accumulation * (steps + 2))
    lengths = [len(row) for row in data]
    clock = Clock(warm=max(steps // 3, 1))
    with tempfile.TemporaryDirectory() as out:
        args = SFTConfig(
            output_dir=out,
            max_length=2048,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulation,
            max_steps=steps,
            learning_rate=2e-5 if notebook else 2e-4,
            bf16=True,
            packing=not notebook,
            gradient_checkpointing=notebook,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            optim="adamw_8bit" if notebook else "adamw_torch",
        )
        trainer = SFTTrainer(
            model=model,
            args=args,
            train_dataset=Dataset.from_list([{"input_ids": row} for row in data]),
            processing_class=tokenizer,
            callbacks=[clock.callback],
        )
        torch.cuda.reset_peak_memory_stats()
        trainer.train()
    mean = sum(lengths) / len(lengths)
    per_step = mean * batch * accumulation if notebook else _packed_tokens(trainer, batch)
    return _result(per_step / clock.seconds(), clock.losses, cudnn=cudnn)


def _packed_tokens(trainer: Any, batch: int) -> float:
    lengths = [len(row) for row in trainer.train_dataset["input_ids"]]
    return batch * sum(lengths) / len(lengths)


def _result(speed: float, losses: list[float], **more: Any) -> dict[str, Any]:
    import torch

    peak = torch.cuda.max_memory_allocated() / 2**30
    return {"tokens_per_second": round(speed), "peak_gib": round(peak, 1), "losses": losses[-3:], **more}


def ours(name: str, folder: str, steps: int, rows_per_step: int = 22) -> dict[str, Any]:
    """The product's own trainer, as `copilot train` calls it with `train.packing`."""
    import torch

    from copilot.config import Lora, Model, Train
    from copilot.model.dataset import Row
    from copilot.model.load import add_adapter, load_model
    from copilot.model.trainer import make_trainer

    model = Model(name=folder, backend="transformers", load_in_4bit=name != "ours-bf16", max_length=2048)
    started = time.perf_counter()
    loaded = load_model(model, training=True)
    took = time.perf_counter() - started
    prompt = (lambda n: n * 3 // 4) if name == "ours-completion" else (lambda n: 1)
    data = [Row(i, (), tuple(row), prompt(len(row))) for i, row in enumerate(rows(rows_per_step * steps))]
    config = Train(
        per_device_train_batch_size=rows_per_step,
        gradient_accumulation_steps=1,
        num_train_epochs=3,  # a training of this length is compiled
        max_steps=steps,
        packing=True,
        gradient_checkpointing=False,
        lora=Lora(r=16, alpha=32),
        save_steps=10_000,
    )
    trained = add_adapter(loaded, config.lora, 0, gradient_checkpointing=False, packing=True)
    clock = Clock(warm=max(steps // 3, 1))
    with tempfile.TemporaryDirectory() as out, make_trainer(trained, data, config, model, 0, Path(out)) as trainer:
        trainer.add_callback(clock.callback)
        torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        trainer.train()
        first = clock.ends[0] - started
    count = len(clock.ends)
    per_step = sum(len(row.input_ids) for row in data) / count
    shape = trainer.pack_shape
    return _result(
        per_step / clock.seconds(),
        clock.losses,
        pack=shape.tokens,
        filled=round(per_step / shape.tokens, 3),
        first_step_seconds=round(first, 1),
        load_seconds=round(took, 1),
    )


def forward(name: str, folder: str, steps: int, size: int = 16384) -> dict[str, Any]:
    """Our packed forward, backward and AdamW in a bare loop, compiled: what TRL's loop adds is the rest."""
    import torch

    from copilot.model.packed import reading_packs
    from copilot.model.packed_trainer import on
    from copilot.model.packs import fill, lay, shape_of

    model = with_lora(load(folder, four_bit=name != "forward-bf16"), 16, ALL_LINEAR)
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in own:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(own, lr=1e-4, fused=True)
    data = [(row, len(row) * 3 // 4 if name == "forward-completion" else 1) for row in rows(steps * 11)]
    lengths = [len(row) for row, _ in data]
    bins = fill(lengths, size)[:steps]
    shape = shape_of(lengths, bins, size)
    warm, losses = max(steps // 3, 1), []
    with reading_packs(model, compiled=True):
        for n, bin in enumerate(bins):
            if n in (0, warm):
                torch.cuda.synchronize()
                started = time.perf_counter()
            pack = on(lay([data[i] for i in bin], shape, 0), 0)
            loss = model(**pack, count=sum(lengths[i] for i in bin))["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(own, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        torch.cuda.synchronize()
    took, read = time.perf_counter() - started, sum(lengths[i] for bin in bins[warm:] for i in bin)
    return _result(read / took, [round(float(loss), 4) for loss in losses], pack=shape.tokens)


def agreement(folder: str, count: int = 8) -> dict[str, Any]:
    """Loss and LoRA gradients of packs and of plain transformers + PEFT, one row at a time, in bf16 and in float32.

    And whether a row that is replaced by another leaves the gradients of the others as they are, to the bit.
    """
    import os

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    import torch

    from copilot.model.packed import reading_packs
    from copilot.model.packed_trainer import on
    from copilot.model.packs import packs, shape_of

    model = with_lora(load(folder, four_bit=False), 16, ALL_LINEAR)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    data = [(row, 1) for row in rows(count)]
    total = sum(len(row) - 1 for row, _ in data)
    lengths = [len(row) for row, _ in data]
    shape = shape_of(lengths, [list(range(count))], sum(lengths) + 2048)

    def plain() -> tuple[float, Any]:
        model.zero_grad()
        summed = 0.0
        for row, _ in data:
            ids = torch.tensor([row], device=0)
            loss = model(input_ids=ids, labels=ids).loss * (len(row) - 1) / total
            loss.backward()
            summed += float(loss.detach())
        return summed, gradient()

    def packed(chosen: list[Any]) -> tuple[float, Any]:
        model.zero_grad()
        summed = 0.0
        for part in packs(chosen, shape, 0):
            loss = model(**on(part, 0), count=total)["loss"]
            loss.backward()
            summed += float(loss.detach())
        return summed, gradient()

    def gradient() -> Any:
        named = sorted((n, p.grad) for n, p in model.named_parameters() if p.grad is not None)
        return torch.cat([grad.float().flatten() for _, grad in named])

    def cosine(a: Any, b: Any) -> float:
        return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0))

    with reading_packs(model, compiled=True):
        packs_loss, packs_slope = packed(data)
        torch.use_deterministic_algorithms(True)
        silent = [(data[0][0], lengths[0]), *data[1:]]  # no loss on the first row
        replaced = [((rows(1, seed=9)[0] * 3)[: lengths[0]], lengths[0]), *data[1:]]
        one, two = packed(silent)[1], packed(replaced)[1]
        torch.use_deterministic_algorithms(False)
    bf16_loss, bf16_slope = plain()
    model.float()
    exact_loss, exact_slope = plain()
    torch.manual_seed(1)
    model = with_lora(load(folder, four_bit=True), 16, ALL_LINEAR)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    with reading_packs(model, compiled=False):
        four_bit_packs, four_bit_packs_slope = packed(data)
    four_bit, four_bit_slope = plain()
    return {
        "loss": {"packs": packs_loss, "plain bf16": bf16_loss, "plain float32": exact_loss},
        "loss in 4 bits": {"packs": four_bit_packs, "plain": four_bit},
        "cosine in 4 bits": cosine(four_bit_packs_slope, four_bit_slope),
        "cosine of packs and plain bf16": cosine(packs_slope, bf16_slope),
        "cosine of packs and plain float32": cosine(packs_slope, exact_slope),
        "cosine of plain bf16 and plain float32": cosine(bf16_slope, exact_slope),
        "largest change of the others when a row is replaced": float((one - two).abs().max()),
    }


def machine(folder: str) -> dict[str, Any]:
    """bf16 products per second of this GPU, and the floor that they set."""
    import torch

    side = 8192
    a, b = (torch.randn(side, side, device=0, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    rate = 10 * 2 * side**3 / (time.perf_counter() - started)
    config = json.loads((Path(folder) / "config.json").read_text())
    hidden, wide, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    groups = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    parameters = (
        layers * (2 * hidden * hidden + 2 * hidden * groups + 3 * hidden * wide) + config["vocab_size"] * hidden
    )
    return {"gpu": torch.cuda.get_device_name(), "tflops": rate / 1e12, "floor": rate / (4 * parameters)}


def child(name: str, folder: str, cudnn: bool, steps: int) -> None:
    if name == "machine":
        result = machine(folder)
    elif name == "agreement":
        result = agreement(folder)
    else:
        bare = forward if name.startswith("forward") else ours
        result = peer(name, folder, cudnn, steps) if name in PEERS else bare(name, folder, steps)
    print("RESULT " + json.dumps(result))


def spawn(name: str, folder: str, cudnn: bool, steps: int, limit: float) -> dict[str, Any]:
    command = [sys.executable, __file__, folder, "--child", name, "--steps", str(steps)] + ["--no-cudnn"] * (not cudnn)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {limit:.0f} s"}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return dict(json.loads(line.removeprefix("RESULT ")))
    return {"failed": "\n".join(done.stderr.strip().splitlines()[-12:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", help="also written here, as JSON")
    parser.add_argument("--only", default=",".join([*VARIANTS, "agreement"]))
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument(
        "--limit", type=float, default=150, help="seconds for a variant; first imports take 40 on a bare machine"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--no-cudnn", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder, not options.no_cudnn, options.steps)
        return
    wanted = options.only.split(",")
    facts = spawn("machine", options.folder, True, 0, 120)
    print(f"{facts}\n", flush=True)
    results: dict[str, Any] = {"machine": facts}
    base = None
    print(
        "| variant | tokens/s | x the notebook's | of the floor | peak GiB | more |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for name, title in VARIANTS.items():
        for cudnn in (True, False) if name in PEERS else (True,):
            if name not in wanted:
                continue
            steps = options.steps or (6 if name.startswith("notebook") else 9 if name in PEERS else 18)
            found = results[f"{name}{'' if cudnn else ' no cudnn'}"] = spawn(
                name, options.folder, cudnn, steps, options.limit
            )
            label = title + ("" if cudnn else ", no cudnn")
            if "failed" in found:
                print(f"| {label} | failed: {found['failed']} |", flush=True)
                continue
            speed = found.pop("tokens_per_second")
            if name == "notebook":
                base = max(base or 0, speed)
            share, times = speed / facts.get("floor", float("nan")), f"{speed / base:.1f}" if base else ""
            print(f"| {label} | {speed:,} | {times} | {share:.0%} | {found.pop('peak_gib')} | {found} |", flush=True)
            found |= {"tokens_per_second": speed}
    if "agreement" in wanted:
        results["agreement"] = spawn("agreement", options.folder, True, 0, 180)
        print("\nAgreement with plain transformers + PEFT:", json.dumps(results["agreement"], indent=1), flush=True)
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
