"""A model and rows in; the loss of their answers out, in training through whatever wraps the model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from copilot.model.dataset import Row
from copilot.model.packs import IGNORED, labels_of


def answer_loss(forward: Callable[..., Any], inputs: dict[str, Any], count: Any = None) -> Any:
    """Cross-entropy over tokens whose label is not -100, divided by `count` (None: by their number).

    `forward` is a causal language model, or its forward; logits are made from the first answer token on.
    """
    import torch

    labels = inputs["labels"]  # (b, t)
    kept = labels != IGNORED
    kept[:, 0] = False  # nothing stands before it
    first = max(int(kept.any(dim=0).int().argmax()), 1)  # 0 where none counts
    keep = labels.shape[1] + 1 - first  # from the token before
    read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    logits = forward(**read, use_cache=False, logits_to_keep=keep).logits[:, :-1]  # (b, keep - 1, vocab)
    kept = kept[:, 1 - keep :]
    wanted = labels[:, 1 - keep :][kept]  # (n,)
    total = torch.nn.functional.cross_entropy(logits[kept].float(), wanted, reduction="sum")
    return total / (kept.sum() if count is None else count)


@contextmanager
def giving_loss(model: Any) -> Iterator[None]:
    """Within the block `model(**batch, count=n)["loss"]` is `answer_loss` of the batch, also through a wrapper.

    `model` is a PEFT model. The base model's own forward is what changes, so the call passes through PEFT and
    DistributedDataParallel on its way, and gradients are synchronised. A block within a block changes nothing.
    """
    base = model.get_base_model()
    before, forward = base.__dict__.get("forward"), base.forward
    if getattr(forward, "gives_loss", False):
        yield
        return

    def loss_of_batch(count: Any = None, **inputs: Any) -> dict[str, Any]:
        return {"loss": answer_loss(forward, inputs, count)}

    loss_of_batch.gives_loss = True  # type: ignore[attr-defined]
    base.forward = loss_of_batch
    try:
        yield
    finally:
        del base.forward
        if before is not None:
            base.forward = before  # TRL puts one there too


def batch_of(rows: Sequence[Row], pad: int, device: Any) -> dict[str, Any]:
    """Rows padded on the right: `input_ids`, `attention_mask`, `labels`, each (rows, longest)."""
    import torch

    longest = max(len(row.input_ids) for row in rows)

    def padded(values: Sequence[int], fill: int) -> list[int]:
        return [*values, *[fill] * (longest - len(values))]

    ids = [padded(row.input_ids, pad) for row in rows]
    mask = [padded([1] * len(row.input_ids), 0) for row in rows]
    labels = [padded(labels_of(row.input_ids, row.prompt_length), IGNORED) for row in rows]
    named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.tensor(values, device=device) for name, values in named.items()}


def held_out_sum(model: Any, rows: Sequence[Row], batch: int, pad: int) -> Any:
    """Summed loss over the answers of the rows, nats, and the number of their tokens: a tensor (2,) in float64.

    `model` is a PEFT model; it is left in evaluation mode.
    """
    import torch

    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=model.device)
    with torch.no_grad(), giving_loss(model):  # unsloth keeps tensors of it, which training reads
        ordered = sorted(rows, key=lambda row: len(row.input_ids))  # little padding
        for start in range(0, len(ordered), batch):
            part = ordered[start : start + batch]
            total[0] += model(**batch_of(part, pad, model.device), count=1)["loss"]
            total[1] += sum(len(row.input_ids) - row.prompt_length for row in part)
    return total
