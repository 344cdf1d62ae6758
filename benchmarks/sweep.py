"""Recipes for the tiny model in, one factor at a time around its YAML; held-out losses and figures of answers out.

    python benchmarks/sweep.py [--out sweep.jsonl] [--questions 12] [--only NAME ...] [--plot curves.png]

Each result is appended to the JSONL as it is made, and what stands there is not made again, so a run can be cut and go
on. At the end a markdown table of all of them is printed. One run takes about a minute and a half on one core.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copilot.answering.answer import Answerer
from copilot.config import Config
from copilot.config_file import load_config
from copilot.evaluation.metrics import score, summary
from copilot.model.dataset import Row, read_questions
from copilot.model.generator import TransformersGenerator
from copilot.model.load import Loaded, load_model, load_tokenizer, model_folder, prepare
from copilot.model.trainer import make_trainer
from copilot.model.watch import best_of, curve_of
from copilot.opened import open_retriever
from copilot.pipeline import run_index, spread, training_rows
from copilot.terminal import Terminal

ROOT = Path(__file__).parent.parent
HELD_OUT = 0.1  # 16 rows, twice those of tiny.yaml
ATTENTION = ["q_proj", "k_proj", "v_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe: what differs from configs/tiny.yaml."""

    name: str
    factor: str
    train: dict[str, Any] = field(default_factory=dict)  # keys of `train`
    lora: dict[str, Any] = field(default_factory=dict)  # keys of `train.lora`
    peft: dict[str, Any] = field(default_factory=dict)  # of PEFT's LoraConfig
    neftune: float | None = None
    seed: int = 42


TRIALS = (
    Trial("recipe", "-"),
    Trial("recipe, seed 7", "seed", seed=7),
    Trial("lr 5e-4", "learning rate", {"learning_rate": 5e-4}),
    Trial("lr 1e-3", "learning rate", {"learning_rate": 1e-3}),
    Trial("lr 4e-3", "learning rate", {"learning_rate": 4e-3}),
    Trial("24 steps", "steps", {"max_steps": 24}),
    Trial("72 steps (1 epoch)", "steps", {"max_steps": 72}),
    Trial("r 4", "rank", lora={"r": 4, "alpha": 8}),
    Trial("r 64", "rank", lora={"r": 64, "alpha": 128}),
    Trial("q k v alone", "targets", lora={"target_modules": ATTENTION}),
    Trial("feed-forward alone", "targets", lora={"target_modules": MLP}),
    Trial("all 7 blocks", "targets", lora={"layers_to_transform": [0, 1, 2, 3, 4, 5, 6]}),
    Trial("blocks 5 and 6", "targets", lora={"layers_to_transform": [5, 6]}),
    Trial("no warm-up", "warm-up", {"warmup_steps": 0}),
    Trial("warm-up 0.3", "warm-up", {"warmup_steps": 0.3}),
    Trial("cosine", "schedule", {"lr_scheduler_type": "cosine"}),
    Trial("constant after warm-up", "schedule", {"lr_scheduler_type": "constant_with_warmup"}),
    Trial("4 rows a step, 18 steps", "batch", {"gradient_accumulation_steps": 4, "max_steps": 18}),
    Trial("NEFTune 5", "switch", neftune=5.0),
    Trial("rsLoRA", "switch", peft={"use_rslora": True}),
    Trial("DoRA", "switch", peft={"use_dora": True}),
    Trial("lr 4e-3, seed 7", "seed", {"learning_rate": 4e-3}, seed=7),
    Trial("lr 4e-3, 72 steps", "both", {"learning_rate": 4e-3, "max_steps": 72}),
    Trial("lr 8e-3", "learning rate", {"learning_rate": 8e-3}),
    Trial("72 steps, seed 7", "seed", {"max_steps": 72}, seed=7),
    Trial("144 steps (2 epochs)", "steps", {"max_steps": 144}),
    Trial("NEFTune 5, seed 7", "seed", neftune=5.0, seed=7),
    Trial("rsLoRA, seed 7", "seed", peft={"use_rslora": True}, seed=7),
    Trial("DoRA, seed 7", "seed", peft={"use_dora": True}, seed=7),
)


def main() -> None:
    """Make what is missing, print the table, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("sweep.jsonl"))
    parser.add_argument("--questions", type=int, default=12, help="evaluation questions answered after each; 0: none")
    parser.add_argument("--only", nargs="*", help="names of trials")
    parser.add_argument("--plot", type=Path, help="where the held-out curves are drawn")
    args = parser.parse_args()
    done = {entry["name"] for entry in read(args.out)}
    wanted = [t for t in TRIALS if t.name not in done and (args.only is None or t.name in args.only)]
    if wanted:
        config, terminal = load_config(str(ROOT / "configs" / "tiny.yaml"), ["run.name=sweep"]), Terminal(quiet=True)
        config = config.model_copy(update={"train": config.train.model_copy(update={"held_out": HELD_OUT})})
        run_index(config, terminal)
        prepare(config.model)
        rows, held_out = training_rows(config, terminal, "", load_tokenizer(model_folder(config.model)))
        for trial in wanted:
            entry = run(trial, config, rows, held_out, args.questions)
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            print(line(entry), flush=True)
    entries = read(args.out)
    print(table(entries))
    if args.plot:
        plot(entries, args.plot)


def run(trial: Trial, config: Config, rows: Sequence[Row], held_out: Sequence[Row], questions: int) -> dict[str, Any]:
    """Train by the recipe, measuring every 12 steps, and answer some questions freely."""
    started = time.perf_counter()
    lora = config.train.lora.model_copy(update=trial.lora)
    recipe = config.train.model_copy(
        update={"eval_steps": 12, "save_steps": 1000, **trial.train, "lora": lora},
    )
    loaded = with_adapter(load_model(config.model, training=True), recipe.lora, trial)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder) / "checkpoints"
        with make_trainer(loaded, rows, recipe, config.model, trial.seed, checkpoints, held_out) as trainer:
            trainer.neftune_noise_alpha = trial.neftune
            before = trainer.held_out_loss()
            trainer.train()
            curve = [(0, before), *curve_of(trainer.state.log_history)]
        trained = time.perf_counter() - started
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        figures = ask(config, Path(folder), questions) if questions else {}
    step, loss = best_of(tuple(curve))
    parameters = sum(p.numel() for p in loaded.model.parameters() if p.requires_grad)
    made = {"steps": curve[-1][0], "loss": curve[-1][1], "best_step": step, "best_loss": loss, "curve": curve}
    return (
        {"name": trial.name, "factor": trial.factor, "seed": trial.seed}
        | made
        | figures
        | {
            "parameters": parameters,
            "seconds": round(trained, 1),
        }
    )


def with_adapter(loaded: Loaded, lora: Any, trial: Trial) -> Loaded:
    """As `add_adapter`, with what the YAML has no key for."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(trial.seed)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        layers_to_transform=lora.layers_to_transform,
        bias="none",
        task_type="CAUSAL_LM",
        **trial.peft,
    )
    model = get_peft_model(loaded.model, config)
    return Loaded(model, loaded.tokenizer, loaded.backend, loaded.device, loaded.dtype)


def ask(config: Config, adapter: Path, count: int) -> dict[str, Any]:
    """Raw figures of `count` held-out questions: nothing enforced, greedy."""
    free = config.answer.model_copy(update={"enforce": "off", "refuse": True})
    loaded = load_model(config.model, adapter)
    generator = TransformersGenerator(loaded, free, config.model.max_length, config.seed, config.evaluation.batch_size)
    answerer = Answerer(generator, open_retriever(config, ""), config.prompt, free, config.model.name, str(adapter))
    questions = spread(read_questions(Path(config.evaluation.questions)), count)
    answers = answerer.ask_all([question.question for question in questions], lambda n: None)
    found = summary([score(q, a, config.answer.sections) for q, a in zip(questions, answers, strict=True)])
    names = ("structure", "identifier_precision", "identifier_recall")
    return {name: None if (figure := found.get(name)) is None else figure["mean"] for name in names}


def read(path: Path) -> list[dict[str, Any]]:
    """The results so far; a line cut short is left out."""
    entries = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entries.append(json.loads(text))
        except ValueError:
            continue
    return entries


def table(entries: Sequence[dict[str, Any]]) -> str:
    """All results as markdown, in the order of TRIALS."""
    order = {trial.name: i for i, trial in enumerate(TRIALS)}
    head = "| factor | trial | parameters | steps | held-out loss | lowest, at step | structure | names | recall | s |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    return "\n".join(lines + [line(e) for e in sorted(entries, key=lambda e: order.get(e["name"], len(order)))])


def line(entry: dict[str, Any]) -> str:
    """One row of the table."""

    def figure(name: str) -> str:
        return "-" if entry.get(name) is None else f"{entry[name]:.2f}"

    asked = " | ".join(map(figure, ("structure", "identifier_precision", "identifier_recall")))
    lowest = f"{entry['best_loss']:.3f}, {entry['best_step']}"
    return (
        f"| {entry['factor']} | {entry['name']} | {entry['parameters'] / 1e3:,.0f} k | {entry['steps']} | "
        f"{entry['loss']:.3f} | {lowest} | {asked} | {entry['seconds']:.0f} |"
    )


def plot(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Held-out loss by step, for the recipes whose steps or rate differ."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for entry in entries:
        if entry["factor"] in ("-", "steps", "learning rate") and entry["seed"] == 42:
            axes.plot(*zip(*entry["curve"], strict=True), "o-", markersize=3, label=entry["name"])
    axes.set(xlabel="optimizer step", ylabel="held-out loss (nats per answer token)")
    axes.set_yscale("log")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
