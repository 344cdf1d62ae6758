"""Rows in; a TRL trainer out that reads each step as packs, and smaller packs when memory runs out.

One item of its dataset is one optimizer step on one device: the rows that `packs.steps_of` put together.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from copilot.config import Train
from copilot.model.dataset import Row
from copilot.model.flash_4 import flash_4
from copilot.model.memory import fit, free_memory
from copilot.model.packed import check_packable
from copilot.model.packs import Shape, fill, labels_of, lay, packs, rounded, shape_of, steps_of
from copilot.model.processes import Processes
from copilot.model.sharding import average_gradients

COMPILE_FROM = 1_000_000  # tokens; compiling takes as long as it saves on about so many
Tokens = tuple[Sequence[int], int]  # ids, and how many of them carry no loss


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows of a step, opaque to the libraries that move batches about."""

    rows: tuple[Tokens, ...]


def tokens_of(rows: Sequence[Row]) -> list[Tokens]:
    """Of each row what a pack needs."""
    return [(row.input_ids, row.prompt_length) for row in rows]


def step_dataset(count: int) -> Any:
    """The Trainer's dataset: the numbers of the steps of one pass."""
    from datasets import Dataset

    return Dataset.from_dict({"step": list(range(count))})


def collator(
    rows: Sequence[Row], steps: Sequence[Sequence[int]]
) -> Callable[[Sequence[dict[str, int]]], dict[str, Any]]:
    """What makes a batch of one item: `rows` (Bin), and flat `input_ids` and `labels` by which the Trainer counts."""

    def collate(batch: Sequence[dict[str, int]]) -> dict[str, Any]:
        import numpy as np
        import torch

        chosen = [rows[i] for item in batch for i in steps[item["step"]]]
        ids = np.concatenate([row.input_ids for row in chosen])  # of lists torch makes a tensor ten times as slowly
        labels = np.concatenate([labels_of(row.input_ids, row.prompt_length) for row in chosen])
        held = Bin(tuple(tokens_of(chosen)))
        return {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels), "rows": held}

    return collate


def on(pack: dict[str, Any], device: Any) -> dict[str, Any]:
    """The pack with its tensors on `device`; on a GPU from pinned memory, so that nothing waits for them."""
    import torch

    gpu = torch.device(device).type == "cuda"

    def moved(value: Any) -> Any:
        return (value.pin_memory() if gpu else value).to(device, non_blocking=True) if hasattr(value, "to") else value

    return {name: moved(value) for name, value in pack.items()}


@dataclass(frozen=True, slots=True)
class Packing:
    """How a training is packed."""

    shape: Shape
    steps: list[list[int]]  # rows of each step of one pass, on one device
    checkpointing: bool
    compiled: bool
    said: str  # all of it in a sentence


def choose_packing(
    model: Any, rows: Sequence[Row], held_out: Sequence[Row], config: Train, seed: int, tokens: int, sharded: bool
) -> Packing:
    """Packs for these rows in the memory that is free; `tokens` is what all of the training will read."""
    check_packable(model.config)
    per_step = config.per_device_train_batch_size * config.gradient_accumulation_steps
    lengths = [len(row.input_ids) for row in rows]
    steps = steps_of(lengths, per_step, seed, config.pack_tokens)
    longest = rounded(max(len(row.input_ids) for row in [*rows, *held_out]))
    asked = None if config.gradient_checkpointing == "auto" else config.gradient_checkpointing
    wanted = max(shape_of(lengths, steps, config.pack_tokens).tokens, longest)
    fitted = fit(model.config, wanted, longest, free_memory(), asked)
    shape = replace(shape_of(lengths, steps, fitted.tokens), longest=longest)
    shape = fitting(tokens_of(held_out), replace(shape, slots=shape.slots + 8))
    enough = tokens >= COMPILE_FROM and not sharded  # compiled layers of which each has a part were not tried
    compiled = enough and model.dtype.itemsize == 2 and can_compile()  # float32 is read row by row
    filled = sum(lengths) / sum(len(fill([lengths[i] for i in step], shape.tokens)) * shape.tokens for step in steps)
    said = f"packs of {shape.tokens} tokens ({filled:.0%} filled)"
    if fitted.free is not None:
        need = shape.tokens * fitted.bytes_per_token / 2**30
        said += f", about {need:.1f} GiB of activations in {fitted.free / 2**30:.1f} GiB free"
    said += f", checkpointing {'on' if fitted.checkpointing else 'off'}"
    said += (", FlashAttention-4" if flash_4() else "") + (", compiled" if compiled else "")
    return Packing(shape, steps, fitted.checkpointing, compiled, said)


def can_compile() -> bool:
    """Whether torch's compiler finds what it needs here: a GPU, triton and a C compiler."""
    import torch

    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return torch.cuda.is_available() and bool(compiler) and importlib.util.find_spec("triton") is not None


def halved(shape: Shape) -> Shape | None:
    """Packs of half the tokens; None where the longest row would not fit."""
    tokens = rounded(shape.tokens / 2)
    return replace(shape, tokens=max(tokens, shape.longest)) if shape.tokens > shape.longest else None


def fitting(rows: Sequence[Tokens], shape: Shape) -> Shape:
    """`shape` with room for as many rows as any pack of these would hold."""
    held = fill([len(ids) for ids, _ in rows], shape.tokens)
    most = max(map(len, held), default=0) + -(-shape.tokens // shape.longest)
    return replace(shape, slots=max(shape.slots, -(-most // 8) * 8))


def packed_trainer(base: type, packing: Packing, processes: Processes, say: Callable[[str], None]) -> type:
    """A subclass of our trainer (`trainer.Measuring`) that reads packs, to train and to measure the held-out loss."""
    import torch

    class PackedTrainer(base):  # type: ignore[misc]
        """Each step in as many packs as its rows need; the gradients of all of them make the step."""

        pack_shape = packing.shape

        def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
            if not model.training:  # which would look at each of a thousand modules
                model.train()
            loss = self._with_memory(lambda: self._step(model, inputs["rows"].rows, num_items_in_batch))
            if processes.sharded:
                average_gradients(model)
            return loss

        def held_out_sum(self, rows: Sequence[Row]) -> list[float]:
            self.model.train()
            return list(
                self._with_memory(lambda: held_out_sum(self.model, self._packs(tokens_of(rows)), self.args.device))
            )

        def _packs(self, rows: Sequence[Tokens]) -> list[dict[str, Any]]:
            pad = self.processing_class.pad_token_id
            parts = packs(rows, self.pack_shape, pad)
            empty = processes.passes(len(parts)) - len(parts)
            return parts + [lay((), self.pack_shape, pad)] * empty

        def _with_memory(self, work: Callable[[], Any]) -> Any:
            """`work`, again with packs of half the size when memory does not do."""
            while True:
                try:
                    return work()
                except torch.OutOfMemoryError:
                    smaller = halved(self.pack_shape)
                    if smaller is None or processes.count > 1:
                        raise
                self.model.zero_grad(set_to_none=True)
                torch.cuda.empty_cache()
                say(f"train: packs of {self.pack_shape.tokens} tokens do not fit, going on with {smaller.tokens}")
                self.pack_shape = smaller

        def _step(self, model: Any, rows: Sequence[Tokens], count: Any) -> Any:
            parts = self._packs(rows)
            total = torch.zeros((), device=self.args.device)
            for n, part in enumerate(parts, 1):
                last = n == len(parts)
                with nullcontext() if last else self.accelerator.no_sync(model):
                    loss = model(**on(part, self.args.device), count=count)["loss"]
                    if self.args.average_tokens_across_devices:
                        loss = loss * processes.count  # gradients are averaged over devices, where a sum is meant
                    self.accelerator.backward(loss)
                total += loss.detach()
            return total

    return PackedTrainer


def held_out_sum(model: Any, parts: Sequence[dict[str, Any]], device: Any) -> tuple[float, int]:
    """Summed loss over the answer tokens of these packs, nats, and their number.

    By the same compiled graph as training: gradients are recorded and dropped.
    """
    total = 0.0
    for part in parts:
        total += float(model(**on(part, device), count=1)["loss"].detach())
    return total, sum(len(part["places"]) for part in parts)
