"""A trainer and the checkpoint it goes on from in; its steps made, the best adapter in place, or a sentence why not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError, Exit
from copilot.model.checkpoints import is_whole
from copilot.model.watch import Curve, best_of, curve_of, exhausted, whole_curve


def run(
    trainer: Any, start: Path | None, interrupted: Callable[[], bool], before: float | None, patience: int | None
) -> int:
    """Train to the end; how many steps were made in all, those before the checkpoint included."""
    if start and _reopen_finished(trainer, start, before, patience):
        return int(trainer.state.global_step)
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except KeyboardInterrupt:
        raise CopilotError(
            "interrupted; the same command with --resume goes on after the last checkpoint", code=Exit.INTERRUPTED
        ) from None
    if interrupted():
        raise CopilotError(
            f"interrupted after step {trainer.state.global_step} of {trainer.state.max_steps}; "
            "the same command with --resume goes on from there",
            code=Exit.INTERRUPTED,
        )
    return int(trainer.state.global_step)


@contextmanager
def memory_errors(packing: bool) -> Iterator[None]:
    """Too little memory, on a GPU or not, as one sentence with what to set."""
    import torch

    smaller = "a smaller train.pack_tokens" if packing else "train.per_device_train_batch_size=1"
    try:
        yield
    except RuntimeError as error:
        gpu = isinstance(error, torch.OutOfMemoryError)
        if not gpu and "DefaultCPUAllocator" not in str(error):
            raise
        raise CopilotError(
            f"the memory of the {'GPU' if gpu else 'machine'} is too small for this training",
            f"set {smaller} or train.gradient_checkpointing=true",
        ) from None


def _reopen_finished(trainer: Any, start: Path, before: float | None, patience: int | None) -> bool:
    """Take over a checkpoint of the last step; False when steps are left (transformers would add one past the last)."""
    from transformers import TrainerState

    state = TrainerState.load_from_json(str(start / "trainer_state.json"))
    curve = whole_curve(before, curve_of(state.log_history))
    if state.global_step < state.max_steps and not exhausted(curve, patience):
        return False
    _take(trainer, start)
    trainer.state = state
    return True


def take_best(trainer: Any, checkpoints: Path, curve: Curve, last: int) -> int:
    """Put the adapter with the lowest held-out loss in place; its step."""
    step = best_of(curve)[0]
    if step != last:
        best = checkpoints / f"checkpoint-{step}"
        if not is_whole(best):
            raise CopilotError(f"{best}, the best checkpoint, is missing or damaged", "train again without --resume")
        _take(trainer, best)
    return step


def _take(trainer: Any, checkpoint: Path) -> None:
    from peft import load_peft_weights, set_peft_model_state_dict

    set_peft_model_state_dict(trainer.model, load_peft_weights(str(checkpoint), device=str(trainer.model.device)))
