"""A trainer's own log in; the held-out loss curve, the best step, and the callback that reports, saves and stops."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from copilot.model.checkpoints import mark_whole, rotate
from copilot.model.processes import Processes

HELD_OUT = "eval_loss"  # its name in the log of transformers
Curve = tuple[tuple[int, float], ...]  # (step, held-out loss in nats per answer token)


class OnStep(Protocol):
    """What is told of training while it runs."""

    def __call__(self, step: int, steps: int, loss: float, held_out: float | None = None, /) -> None:
        """A logged step, and once more when its held-out loss is known."""
        ...


def curve_of(history: Sequence[dict[str, Any]]) -> Curve:
    """The held-out losses in the trainer's log, by step."""
    return tuple((entry["step"], entry[HELD_OUT]) for entry in history if HELD_OUT in entry)


def best_of(curve: Curve) -> tuple[int, float]:
    """The first point with the lowest loss."""
    return min(curve, key=lambda point: point[1])


def exhausted(curve: Curve, patience: int | None) -> bool:
    """Whether the last `patience` measurements were all no better than one before.

    Source: Goodfellow, Bengio and
    Courville 2016, algorithm 7.1.
    """
    if patience is None or not curve:
        return False
    return len(curve) - 1 - curve.index(best_of(curve)) >= patience


def make_report(
    on_step: OnStep,
    interrupted: Callable[[], bool],
    processes: Processes,
    before: float | None,
    patience: int | None,
    keep: int,
) -> Any:
    """The TrainerCallback; `before` is the held-out loss at step 0, `keep` the number of checkpoints left standing."""
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc]
        """Tells the progress bar, ends training early or at Ctrl-C, and marks a checkpoint once all of it is there."""

        loss = float("nan")

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                self.loss = float(logs["loss"])
                on_step(state.global_step, state.max_steps, self.loss)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if processes.any(interrupted()):
                control.should_save = control.should_training_stop = True

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            curve = curve_of(state.log_history)
            on_step(state.global_step, state.max_steps, self.loss, curve[-1][1])
            if patience is None:
                return
            if best_of(curve)[0] == state.global_step:
                control.should_save = True
            if exhausted(whole_curve(before, curve), patience):
                control.should_save = control.should_training_stop = True

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            processes.wait()  # each process writes its random state
            if processes.first:
                folder = Path(args.output_dir)
                mark_whole(folder / f"checkpoint-{state.global_step}", state.global_step)
                curve = curve_of(state.log_history)
                rotate(folder, keep, best_of(curve)[0] if patience is not None and curve else None)
            processes.wait()

    return Report()


def whole_curve(before: float | None, curve: Curve) -> Curve:
    """The curve with its point before training."""
    return curve if before is None else ((0, before), *curve)


def log_of(history: Sequence[dict[str, Any]], before: float | None) -> tuple[dict[str, Any], ...]:
    """One entry a step: what the trainer logged, with `held_out_loss` where that was measured."""
    entries: dict[int, dict[str, Any]] = {} if before is None else {0: {"step": 0, "held_out_loss": before}}
    for entry in history:
        own = entries.setdefault(entry["step"], {"step": entry["step"]})
        if "loss" in entry:
            own.update(entry)
        if HELD_OUT in entry:
            own["held_out_loss"] = entry[HELD_OUT]
    return tuple(dict(sorted(entry.items())) for entry in entries.values() if len(entry) > 1)
