"""A trained model in; the adapter's folder out: weights, tokenizer, template, model card, log, loss curve."""

import json
from pathlib import Path
from typing import Any

from copilot.config import Config
from copilot.errors import StaleError
from copilot.model.load import Loaded
from copilot.model.plan import Plan
from copilot.model.trainer import Trained
from copilot.runs import read_manifest, swapped_folder


def save_adapter(
    folder: Path, trained: Loaded, plan: Plan, done: Trained, config: Config, manifest: dict[str, Any]
) -> None:
    """Write the folder in one swap."""
    facts = {
        "steps": done.steps,
        "kept_step": done.kept_step,
        "rows": plan.rows,
        "loss_before": done.loss_before,
        "loss_after": done.loss_after,
        "adapter_norm": done.adapter_norm,
        "backend": trained.backend,
        "dtype": trained.dtype,
    }
    with swapped_folder(folder, {**manifest, **facts}) as fresh:
        for adapter in trained.model.peft_config.values():
            adapter.base_model_name_or_path = config.model.name  # a hub name rather than its folder in the cache
        trained.model.save_pretrained(fresh, safe_serialization=True)
        trained.tokenizer.save_pretrained(fresh)
        (fresh / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        lines = "".join(json.dumps(entry) + "\n" for entry in done.log)
        (fresh / "training_log.jsonl").write_text(lines, encoding="utf-8")
        _plot(fresh / "loss.png", done)
        (fresh / "README.md").write_text(_card(config, plan, done), encoding="utf-8")


def load_manifest(folder: Path, remedy: str) -> dict[str, Any]:
    """The adapter's manifest. Raises StaleError when it is missing or damaged."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise StaleError(f"no trained adapter at {folder}", remedy)
    return manifest


def _plot(path: Path, done: Trained) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
    fed = [entry for entry in done.log if "loss" in entry]
    axes.plot([e["step"] for e in fed], [e["loss"] for e in fed], label="training")
    if done.curve:
        axes.plot(*zip(*done.curve, strict=True), "o--", label="held out")
    if done.kept_step != done.steps:
        axes.axvline(done.kept_step, color="grey", linestyle=":", label=f"adapter kept: step {done.kept_step}")
    axes.set(xlabel="optimizer step", ylabel="loss (nats per answer token)", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _card(config: Config, plan: Plan, done: Trained) -> str:
    base = config.model.name
    name = Path(base).name if Path(base).is_absolute() else base
    change = "not measured"
    if done.loss_before is not None and done.loss_after is not None:
        change = f"{done.loss_before:.3f} before, {done.loss_after:.3f} after ({plan.held_out} rows)"
    points = ", ".join(f"{loss:.3f} at {step}" for step, loss in done.curve)
    kept = f" (the adapter is that of step {done.kept_step}, the best)" if done.kept_step != done.steps else ""
    return f"""---
base_model: {name}
library_name: peft
pipeline_tag: text-generation
tags: [lora, sft, trl, tech-clarity-copilot]
---
# Adapter of the run `{config.run.name}`

LoRA (r={config.train.lora.r}, alpha={config.train.lora.alpha:g}) on `{name}`, trained to answer in the sections
{", ".join(config.answer.sections)}.

- Rows: {plan.rows}; optimizer steps: {done.steps}{kept}; learning rate {config.train.learning_rate:g}
- Held-out loss per answer token: {change}
- Held-out loss by step: {points or "not measured"}
- Context of a row: the {config.retriever.k} chunks that `copilot ask` would retrieve, by `{config.embeddings.provider}`

`config.yaml` holds every setting, `training_log.jsonl` and `loss.png` the curve, `manifest.json` what it was made from.
The prompt it was trained on is part of its fingerprint: `copilot ask` refuses it under another prompt.
"""
