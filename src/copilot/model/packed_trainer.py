"""Steps of rows in; a TRL trainer out that reads each step as packs, and smaller packs when memory runs out.

One item of its dataset is one optimizer step on one device: the rows that `packs.steps_of` put together.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from copilot.model.dataset import Row
from copilot.model.packs import IGNORED, Shape, fill, packs, rounded

Tokens = tuple[Sequence[int], int]  # ids, and how many of them carry no loss


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows of a step, opaque to the libraries that move batches about."""

    rows: tuple[Tokens, ...]


def step_dataset(count: int) -> Any:
    """The Trainer's dataset: the numbers of the steps of one pass."""
    from datasets import Dataset

    return Dataset.from_dict({"step": list(range(count))})


def collator(
    rows: Sequence[Row], steps: Sequence[Sequence[int]]
) -> Callable[[Sequence[dict[str, int]]], dict[str, Any]]:
    """What makes a batch of one item: `rows` (Bin), and flat `input_ids` and `labels` by which the Trainer counts."""

    def collate(batch: Sequence[dict[str, int]]) -> dict[str, Any]:
        import torch

        chosen = [rows[i] for item in batch for i in steps[item["step"]]]
        ids = [token for row in chosen for token in row.input_ids]
        labels = [
            label
            for row in chosen
            for label in [IGNORED] * max(row.prompt_length, 1) + list(row.input_ids[max(row.prompt_length, 1) :])
        ]
        held = Bin(tuple((row.input_ids, row.prompt_length) for row in chosen))
        return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "rows": held}

    return collate


def on(pack: dict[str, Any], device: Any) -> dict[str, Any]:
    """The pack with its tensors on `device`."""
    return {k: v.to(device, non_blocking=True) if hasattr(v, "to") else v for k, v in pack.items()}


def halved(shape: Shape) -> Shape | None:
    """Packs of half the tokens; None where the longest row would not fit."""
    tokens = rounded(shape.tokens / 2)
    return replace(shape, tokens=max(tokens, shape.longest)) if shape.tokens > shape.longest else None


def packed_trainer(base: type, shape: Shape, pad: int, say: Callable[[str], None]) -> type:
    """A subclass of TRL's trainer whose `training_step` reads packs of `shape`."""
    import torch

    class PackedTrainer(base):  # type: ignore[misc]
        """Each step in as many packs as its rows need; the gradients of all of them make the step."""

        pack_shape = shape

        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            model.train()
            rows = inputs["rows"].rows
            while True:
                try:
                    return self._step(model, rows, num_items_in_batch)
                except torch.OutOfMemoryError:
                    smaller = halved(self.pack_shape)
                    if smaller is None or self.args.world_size > 1:
                        raise
                model.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
                say(f"train: packs of {self.pack_shape.tokens} tokens do not fit, going on with {smaller.tokens}")
                self.pack_shape = smaller

        def _step(self, model: Any, rows: Sequence[Tokens], count: Any) -> Any:
            parts = packs(rows, self.pack_shape, pad)
            total = torch.zeros((), device=self.args.device)
            for n, part in enumerate(parts, 1):
                last = n == len(parts)
                with nullcontext() if last else self.accelerator.no_sync(model):
                    total += self._backward(model, on(part, self.args.device), count)
            return total

        def _backward(self, model: Any, part: dict[str, Any], count: Any) -> Any:
            loss = model(**part, count=count)["loss"]
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes  # averaged over devices, where a sum is meant
            self.accelerator.backward(loss)
            return loss.detach()

    return PackedTrainer


def held_out_loss(model: Any, rows: Sequence[Tokens], shape: Shape, pad: int, device: Any) -> float:
    """Mean loss over answer tokens, nats. The same compiled graph as training: gradients are recorded and dropped."""
    count = sum(len(ids) - max(prompt, 1) for ids, prompt in rows)
    total = 0.0
    for part in packs(rows, shape, pad):
        total += float(model(**on(part, device), count=1)["loss"].detach())
    return total / count


def fitting(rows: Sequence[Tokens], shape: Shape) -> Shape:
    """`shape` with room for as many rows as any pack of these would hold."""
    held = fill([len(ids) for ids, _ in rows], shape.tokens)
    most = max(map(len, held)) + -(-shape.tokens // shape.longest)
    return replace(shape, slots=max(shape.slots, -(-most // 8) * 8))
