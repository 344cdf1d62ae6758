"""Training speed on a GPU: the notebook's recipe, unsloth's and TRL's packing, and `train.packing`, in one call.

    python benchmarks/train.py CHECKPOINT [--out FILE] [--only ours,trl ...]
    python benchmarks/train.py CHECKPOINT --only speed,agreement     # our forward by itself, within 9 minutes

CHECKPOINT is a model folder of the Llama-3.2-1B shape (benchmarks/make_checkpoint.py makes one). Each variant runs in a
process of its own, since unsloth patches what it imports. Rows have 836 to 2,048 tokens; only real tokens count. A
variant with "no cudnn" ran with torch's cuDNN attention switched off, which may plan anew for each length. The floor is
what LoRA must compute, 4 operations for each parameter and token, at the speed of a bf16 product measured here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bare import ALL_LINEAR, bare, load, rows, speed, with_lora
from exact import agreement, show

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
SPEED_SECONDS = 340  # for the part `speed`
PEERS = ("notebook", "notebook-hf", "unsloth", "trl")


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


def forward(name: str, folder: str, steps: int) -> dict[str, Any]:
    """Our packed forward, backward and AdamW in a bare loop, compiled: what TRL's loop adds is the rest."""
    model = with_lora(load(folder, four_bit=name != "forward-bf16"), 16, ALL_LINEAR)
    return bare(model, {"completion": name == "forward-completion"}, steps)


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
        print(f"\nDistances of gradients (and of the loss):\n{show(result)}", flush=True)
    elif name == "speed":
        result = speed(folder, steps or 14, SPEED_SECONDS - 60)
    else:
        run = forward if name.startswith("forward") else ours
        result = peer(name, folder, cudnn, steps) if name in PEERS else run(name, folder, steps)
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


def stream(name: str, folder: str, steps: int, limit: float) -> dict[str, Any]:
    """A part that prints as it goes, so that what it found is seen though it be cut."""
    command = [sys.executable, "-W", "ignore", __file__, folder, "--child", name, "--steps", str(steps)]
    began, last = time.monotonic(), ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        timer = threading.Timer(limit, running.kill)
        timer.start()
        assert running.stdout
        for line in running.stdout:
            last = line if line.startswith("RESULT ") else last
            if not line.startswith("RESULT "):
                print(line, end="", flush=True)
        timer.cancel()
    print(f"{name}: {time.monotonic() - began:.0f} s, exit code {running.returncode}", flush=True)
    return dict(json.loads(last.removeprefix("RESULT "))) if last else {"failed": f"exit code {running.returncode}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", help="also written here, as JSON")
    parser.add_argument("--only", default=",".join([*VARIANTS, "agreement"]), help="variants, agreement, speed")
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
            rate = found.pop("tokens_per_second")
            if name == "notebook":
                base = max(base or 0, rate)
            share, times = rate / facts.get("floor", float("nan")), f"{rate / base:.1f}" if base else ""
            print(f"| {label} | {rate:,} | {times} | {share:.0%} | {found.pop('peak_gib')} | {found} |", flush=True)
            found |= {"tokens_per_second": rate}
    for name, limit in {"speed": SPEED_SECONDS, "agreement": 150}.items():
        if name in wanted:
            results[name] = stream(name, options.folder, options.steps, limit)
    if options.out:
        Path(options.out).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
