"""Tokenised rows and a model in; a LoRA adapter, its log and its loss curve out (TRL's SFTTrainer)."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copilot.config import Model, Train
from copilot.errors import CopilotError, Exit
from copilot.model.checkpoints import OWNER, held_interrupt, last_checkpoint, mark_whole
from copilot.model.dataset import Row
from copilot.model.load import Loaded, add_adapter
from copilot.runs import write_json

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Plan:
    """What training will do."""

    rows: int
    held_out: int  # rows
    tokens: int
    loss_tokens: int
    longest: int  # tokens
    steps: int  # optimizer steps


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did."""

    steps: int
    loss_before: float | None  # held-out, nats per token
    loss_after: float | None
    adapter_norm: float  # L2 over all adapter weights that start at zero
    log: tuple[dict[str, Any], ...]


def plan(train: Sequence[Row], held_out: Sequence[Row], config: Train, model: Model, processes: int = 1) -> Plan:
    """Count, and refuse what could not train. Raises CopilotError with the remedy."""
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * processes
    batches = math.ceil(len(train) / (config.per_device_train_batch_size * processes))
    per_epoch = max(math.ceil(batches / config.gradient_accumulation_steps), 1)
    steps = config.max_steps if config.max_steps > 0 else math.ceil(per_epoch * config.num_train_epochs)
    if config.packing:
        raise CopilotError(
            "train.packing: packed rows would read each other, for no flash attention is loaded here",
            "set train.packing=false",
        )
    rows = [*train, *held_out]
    for row in rows:
        where = f"{config.data}:{row.line}"
        length = len(row.input_ids)
        if length > model.max_length:
            raise CopilotError(
                f"{where}: {length} tokens, but model.max_length is {model.max_length}: its answer would be cut",
                f"set model.max_length to at least {length}, or lower retriever.k",
            )
        if len(row.input_ids) <= row.prompt_length:
            raise CopilotError(f"{where}: no token of this row carries loss", "give it a longer response")
    if steps < config.min_steps:
        raise CopilotError(
            f"{len(train)} rows in batches of {batch} for {config.num_train_epochs:g} epochs make {steps} optimizer "
            f"step{'s' if steps != 1 else ''}, fewer than train.min_steps ({config.min_steps}): too few to learn from",
            "raise train.num_train_epochs, lower train.gradient_accumulation_steps, add rows, or lower train.min_steps",
        )
    tokens = sum(len(r.input_ids) for r in train)
    loss_tokens = sum(len(r.input_ids) - r.prompt_length for r in train)
    return Plan(len(train), len(held_out), tokens, loss_tokens, max(len(r.input_ids) for r in rows), steps)


def train_adapter(
    loaded: Loaded,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    config: Train,
    model: Model,
    seed: int,
    checkpoints: Path,
    fingerprint: str,
    resume: bool,
    on_step: Callable[[int, int, float], None],
) -> tuple[Loaded, Trained]:
    """Train, and measure that it changed something; `on_step(step, steps, loss)` is told of each logged step.

    Checkpoints go to `checkpoints`; with `resume` training goes on after the last whole one. Raises CopilotError when
    the adapter did not change or the held-out loss did not fall.
    """
    start = last_checkpoint(checkpoints, fingerprint) if resume else None
    if start is None:
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        write_json(checkpoints / OWNER, fingerprint)
    trained = add_adapter(loaded, config.lora, seed, config.gradient_checkpointing)
    with held_interrupt() as interrupted:
        trainer = _sft_trainer(trained, rows, held_out, config, model, seed, checkpoints, on_step, interrupted)
        before = _held_out_loss(trainer, held_out)  # a fresh adapter changes nothing: this is the base, resumed or not
        steps = _run(trainer, start, interrupted)
    after = _held_out_loss(trainer, held_out)
    norm = adapter_norm(trained.model)
    log = tuple(entry for entry in trainer.state.log_history if "loss" in entry)
    done = Trained(steps, before, after, norm, log)
    _check(done)
    return trained, done


def adapter_norm(model: Any) -> float:
    """L2 norm of the LoRA B matrices, which are zero before training."""
    squares = [float(p.detach().float().pow(2).sum()) for name, p in model.named_parameters() if "lora_B" in name]
    return math.sqrt(sum(squares))


def _check(done: Trained) -> None:
    if not math.isfinite(done.adapter_norm):
        raise CopilotError("training diverged: the adapter is not finite", "lower train.learning_rate")
    if not done.adapter_norm > 0:
        raise CopilotError("training changed nothing: the adapter is zero", "raise train.learning_rate or the steps")
    if done.loss_before is not None and done.loss_after is not None and not done.loss_after < done.loss_before:
        raise CopilotError(
            f"training did not lower the held-out loss: {done.loss_before:.3f} before, {done.loss_after:.3f} after",
            "lower train.learning_rate or the epochs; the adapter was not kept",
        )


def _dataset(rows: Sequence[Row]) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()

    def mask(row: Row) -> list[int]:
        return [0] * row.prompt_length + [1] * (len(row.input_ids) - row.prompt_length)

    return Dataset.from_list([{"input_ids": list(r.input_ids), "completion_mask": mask(r)} for r in rows])


def _sft_trainer(
    trained: Loaded,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    config: Train,
    model: Model,
    seed: int,
    checkpoints: Path,
    on_step: Callable[[int, int, float], None],
    interrupted: Callable[[], bool],
) -> Any:
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from trl import SFTTrainer

    class Report(TrainerCallback):  # type: ignore[misc]
        """Tells our progress bar, and marks a checkpoint whole once everything in it is written."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                on_step(state.global_step, state.max_steps, float(logs["loss"]))

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if interrupted():
                control.should_save = control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)

    class CpuTrainer(SFTTrainer):  # type: ignore[misc]
        """TRL's loss needs a GPU kernel (triton); here is the same in plain torch, logits of answer tokens only."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = answer_loss(self.accelerator.unwrap_model(model).get_base_model(), inputs, num_items_in_batch)
            return (loss, {}) if return_outputs else loss

    args = _arguments(config, model, seed, checkpoints)
    trainer = (CpuTrainer if args.use_cpu else SFTTrainer)(
        model=trained.model,
        args=args,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(held_out) if held_out else None,
        processing_class=trained.tokenizer,
        callbacks=[Report()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _arguments(config: Train, model: Model, seed: int, checkpoints: Path) -> Any:
    """TRL's own settings: those of the YAML under their TRL names, and those that follow from the machine."""
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    names = set(Train.model_fields) - {"data", "held_out", "min_steps", "lora"}
    options = {name: getattr(config, name) for name in names} | {"max_steps": config.max_steps or -1}
    return SFTConfig(
        output_dir=str(checkpoints),
        seed=seed,
        data_seed=seed,
        max_length=model.max_length,
        completion_only_loss=True,
        per_device_eval_batch_size=config.per_device_train_batch_size,
        eval_strategy="no",
        save_strategy="steps",
        save_only_model=False,
        bf16=gpu and torch.cuda.is_bf16_supported(),
        fp16=gpu and not torch.cuda.is_bf16_supported(),
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        disable_tqdm=True,
        logging_first_step=True,
        prediction_loss_only=True,
        **options,
    )


def answer_loss(base: Any, inputs: dict[str, Any], count: Any = None) -> Any:
    """Cross-entropy over tokens whose label is not -100, divided by `count` (None: by their number)."""
    import torch

    labels = inputs["labels"][:, 1:]  # (b, t - 1)
    kept = labels != IGNORED
    places = kept.any(dim=0).nonzero().squeeze(1)  # where any row has an answer token next
    read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    logits = base(**read, use_cache=False, logits_to_keep=places).logits  # (b, places, vocab)
    logits = logits[kept[:, places]].float()  # (n, vocab)
    total = torch.nn.functional.cross_entropy(logits, labels[kept], reduction="sum")
    return total / (kept.sum() if count is None else count)


def _run(trainer: Any, start: Path | None, interrupted: Callable[[], bool]) -> int:
    """Train to the end; how many steps were made in all, those before the checkpoint included."""
    import torch

    if start and _reopen_finished(trainer, start):
        return int(trainer.state.global_step)
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except KeyboardInterrupt:
        raise CopilotError(
            "interrupted; the same command with --resume goes on after the last checkpoint", code=Exit.INTERRUPTED
        ) from None
    except torch.cuda.OutOfMemoryError:
        raise CopilotError(
            "the GPU's memory is too small for this training",
            "set train.per_device_train_batch_size=1 or train.gradient_checkpointing=true",
        ) from None
    if interrupted():
        raise CopilotError(
            f"interrupted after step {trainer.state.global_step} of {trainer.state.max_steps}; "
            "the same command with --resume goes on from there",
            code=Exit.INTERRUPTED,
        )
    return int(trainer.state.global_step)


def _reopen_finished(trainer: Any, start: Path) -> bool:
    """Take over a checkpoint of the last step; False when steps are left (transformers would add one past the last)."""
    from peft import load_peft_weights, set_peft_model_state_dict
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(start / "trainer_state.json"))
    if state.global_step < state.max_steps:
        return False
    set_peft_model_state_dict(trainer.model, load_peft_weights(str(start), device=str(trainer.model.device)))
    trainer.state = state
    return True


def _held_out_loss(trainer: Any, held_out: Sequence[Row]) -> float | None:
    """Mean loss over the answers of the held-out rows, nats per token."""
    if not held_out:
        return None
    import torch

    model = trainer.model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for row in held_out:
            ids = torch.tensor([row.input_ids], device=model.device)
            keep = len(row.input_ids) - row.prompt_length
            logits = model(input_ids=ids, logits_to_keep=keep + 1).logits[0, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, -keep:], reduction="sum"))
            count += keep
    return total / count
