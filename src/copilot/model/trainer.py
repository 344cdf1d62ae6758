"""Tokenised rows and a model in; a LoRA adapter, its log and its loss curve out (TRL's SFTTrainer)."""

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from copilot.config import Model, Train
from copilot.errors import CopilotError
from copilot.model.checkpoints import OWNER, held_interrupt, last_checkpoint, rotate
from copilot.model.dataset import Row
from copilot.model.load import Loaded, add_adapter
from copilot.model.loop import memory_errors, run, take_best
from copilot.model.loss import giving_loss, held_out_sum
from copilot.model.packed import reading_packs
from copilot.model.packed_trainer import Packing, choose_packing, collator, packed_trainer, step_dataset
from copilot.model.processes import Processes
from copilot.model.sharding import average_gradients, shard
from copilot.model.watch import Curve, OnStep, curve_of, log_of, make_report, whole_curve
from copilot.runs import write_json

# not for TRL
_OWN = {"data", "adapter_from", "held_out", "min_steps", "lora", "packing", "pack_tokens", "gradient_checkpointing"}
_OWN |= {"early_stopping_patience", "save_total_limit", "eval_steps", "max_steps"}


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did."""

    steps: int
    kept_step: int  # whose adapter it is: the best one when training may end early, else the last
    loss_before: float | None  # held-out, nats per token
    loss_after: float | None  # of the adapter kept
    adapter_norm: float  # L2 over all adapter weights that start at zero
    log: tuple[dict[str, Any], ...]  # by step; `loss` of training, `held_out_loss` where it was measured
    curve: Curve  # held-out, from step 0 on


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
    on_step: OnStep,
    processes: Processes = Processes(),  # noqa: B008
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Loaded, Trained]:
    """Train, and measure that it changed something; `on_step` is told of each logged step.

    Checkpoints go to `checkpoints`; with `resume` training goes on after the last whole one. Raises CopilotError when
    the adapter did not change or the held-out loss did not fall.
    """
    start = last_checkpoint(checkpoints, fingerprint) if resume else None
    processes.wait()
    if processes.first:
        _make_room(checkpoints, start, fingerprint)
    processes.wait()
    trained = add_adapter(loaded, config.lora, seed, _checkpointing(config, loaded.device != "cpu"), config.packing)
    patience = config.early_stopping_patience
    with (
        held_interrupt(processes.first) as interrupted,
        memory_errors(config.packing),
        make_trainer(trained, rows, config, model, seed, checkpoints, held_out, processes, say) as trainer,
    ):
        before = trainer.held_out_loss()  # a fresh adapter changes nothing: this is the base, resumed or not
        report = make_report(on_step, interrupted, processes, before, patience, config.save_total_limit)
        trainer.add_callback(report)
        steps = run(trainer, start, lambda: processes.any(interrupted()), before, patience)
        curve = curve_of(trainer.state.log_history)
        kept = take_best(trainer, checkpoints, curve, steps) if patience else steps
    after = dict(curve).get(kept)
    log = log_of(trainer.state.log_history, before)
    done = Trained(steps, kept, before, after, adapter_norm(trained.model), log, whole_curve(before, curve))
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


def _make_room(checkpoints: Path, start: Path | None, fingerprint: str) -> None:
    """An empty folder to start from, or one without what a kill left half written."""
    if start is not None:
        rotate(checkpoints, len(list(checkpoints.iterdir())), None)
        return
    shutil.rmtree(checkpoints, ignore_errors=True)
    checkpoints.mkdir(parents=True)
    write_json(checkpoints / OWNER, fingerprint)


@contextmanager
def make_trainer(
    trained: Loaded,
    rows: Sequence[Row],
    config: Train,
    model: Model,
    seed: int,
    checkpoints: Path,
    held_out: Sequence[Row] = (),
    processes: Processes = Processes(),  # noqa: B008
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Any]:
    """TRL's trainer, ready within the block; `held_out_loss()` is what it measures every `eval_steps`."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    if processes.sharded:
        shard(trained.model)
    args = _arguments(config, model, seed, checkpoints, bool(held_out))
    own, collate = _trainer_class(held_out, processes, args.use_cpu), None
    reading: AbstractContextManager[None] = giving_loss(trained.model) if args.use_cpu else nullcontext()
    if config.packing:
        tokens = sum(len(row.input_ids) for row in rows) * config.num_train_epochs
        base = trained.model.get_base_model()
        packing = choose_packing(base, rows, held_out, config, seed, int(tokens), processes.sharded)
        say(f"train: {packing.said}")
        _ask_for_packs(args, packing)
        own, collate = packed_trainer(own, packing, processes, say), collator(rows, packing.steps)
        data = [step_dataset(len(packing.steps)), step_dataset(1) if held_out else None]
        reading = reading_packs(trained.model, packing.compiled, packing.checkpointing)
    else:
        data = [_dataset(part) if part else None for part in (rows, held_out)]
    trainer = own(
        model=trained.model,
        args=args,
        train_dataset=data[0],
        eval_dataset=data[1],
        data_collator=collate,
        processing_class=trained.tokenizer,
    )
    if config.packing:
        for parameter in trained.model.parameters():
            if parameter.requires_grad:  # TRL makes them 16 bits wide over a 4-bit base, too few for small steps
                parameter.data = parameter.data.float()
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    for callback in trainer.callback_handler.callbacks:
        if type(callback).__name__ == "TensorBoardCallback" and callback.logging_dir is None:
            callback.logging_dir = str(checkpoints.parent / "tensorboard")
    with reading:
        yield trainer


def _ask_for_packs(args: Any, packing: Packing) -> None:
    """TRL's settings where an item of its dataset is a step, and the weights are of the type they compute in."""
    args.per_device_train_batch_size = args.gradient_accumulation_steps = 1
    args.remove_unused_columns = False
    args.dataset_kwargs = {"skip_prepare_dataset": True}
    args.gradient_checkpointing = packing.checkpointing


def _trainer_class(held_out: Sequence[Row], processes: Processes, cpu: bool) -> Any:
    """SFTTrainer with our measure of the held-out loss, and on a CPU with our loss."""
    from trl import SFTTrainer

    class Measuring(SFTTrainer):  # type: ignore[misc]
        control: Any

        def held_out_loss(self) -> float | None:
            """Mean loss over the answers of the held-out rows, nats per token; each process takes its share."""
            if not held_out:
                return None
            total, count = processes.sum(self.held_out_sum(_share(held_out, processes)))
            if processes.sharded:
                self.model.reshard()  # by all: the first lets go of the weights when it saves, which the others do not
            return total / count

        def held_out_sum(self, rows: Sequence[Row]) -> list[float]:
            """Summed loss over the answers of these rows, nats, and the number of their tokens."""
            batch, pad = self.args.per_device_eval_batch_size, self.processing_class.pad_token_id
            return list(held_out_sum(self.model, rows, batch, pad).tolist())

        def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
            metrics = {"eval_loss": float(self.held_out_loss())}  # type: ignore[arg-type]
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

        def training_step(self, *args: Any, **options: Any) -> Any:
            loss = super().training_step(*args, **options)
            if processes.sharded and self.accelerator.sync_gradients:
                average_gradients(self.model)
            return loss

        def compute_loss_context_manager(self) -> Any:
            """Mixed precision, which accelerate puts into the forward of a model that it may prepare."""
            return self.accelerator.autocast() if processes.sharded else super().compute_loss_context_manager()

    class CpuTrainer(Measuring):
        """TRL's loss needs a GPU kernel (triton); ours is the same in plain torch."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            loss = model(**inputs, count=num_items_in_batch)["loss"]
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes  # gradients are averaged, where a sum is meant
            return (loss, {}) if return_outputs else loss

    return CpuTrainer if cpu else Measuring


def _share(rows: Sequence[Row], processes: Processes) -> list[Row]:
    """This process's rows, as many as any other's: a short one of which nothing counts where they do not go round."""
    own = list(rows[processes.rank :: processes.count])
    if len(own) < len(rows[:: processes.count]):
        own.append(replace(rows[0], input_ids=rows[0].input_ids[:2], prompt_length=2))
    return own


def _dataset(rows: Sequence[Row]) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()

    def mask(row: Row) -> list[int]:
        return [0] * row.prompt_length + [1] * (len(row.input_ids) - row.prompt_length)

    return Dataset.from_list([{"input_ids": list(r.input_ids), "completion_mask": mask(r)} for r in rows])


def _checkpointing(config: Train, gpu: bool) -> bool:
    """Whether rows without packs are read again on the way back; packs choose for themselves."""
    return gpu if config.gradient_checkpointing == "auto" else config.gradient_checkpointing


def _arguments(config: Train, model: Model, seed: int, checkpoints: Path, measured: bool) -> Any:
    """TRL's own settings: those of the YAML under their TRL names, and those that follow from the machine."""
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    mixed = gpu and not config.packing  # packs compute in the type of the weights
    options = {name: getattr(config, name) for name in set(Train.model_fields) - _OWN}
    args = SFTConfig(
        output_dir=str(checkpoints),
        run_name=checkpoints.parent.name,
        seed=seed,
        data_seed=seed,
        max_length=model.max_length,
        completion_only_loss=True,
        per_device_eval_batch_size=config.per_device_train_batch_size,
        eval_strategy="steps" if measured else "no",
        eval_steps=config.eval_steps if measured else None,
        save_strategy="steps",
        save_only_model=False,
        bf16=mixed and torch.cuda.is_bf16_supported(),
        fp16=mixed and not torch.cuda.is_bf16_supported(),
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        logging_nan_inf_filter=False,  # it waits for the GPU after each step, and hides what went wrong
        logging_first_step=True,
        prediction_loss_only=True,
        max_steps=config.max_steps or -1,
        gradient_checkpointing=_checkpointing(config, gpu),
        **options,
    )
    args._n_gpu = min(args.n_gpu, 1)  # more GPUs are for more processes, never for threads of this one
    return args
