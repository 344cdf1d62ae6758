"""A model's configuration and the free memory of the device in; how training fits out: pack size, checkpointing."""

from dataclasses import dataclass
from typing import Any

SHARE = 0.85  # of the free memory that is planned with
LEAST = 4096  # tokens; below that, checkpointing costs less than packs of that size
OVERHEAD = 3 << 30  # bytes for logits, gradients and workspaces beside the activations


@dataclass(frozen=True, slots=True)
class Fit:
    """How a training fits the device."""

    tokens: int  # most of a pack
    checkpointing: bool
    bytes_per_token: int
    free: int | None  # bytes; None on a CPU


def bytes_per_token(config: Any, checkpointing: bool) -> int:
    """Activations that a token leaves for the way back, in numbers of the weights' type (16 bits if it is not known).

    From the shape of a Llama-like layer.
    """
    number = getattr(getattr(config, "dtype", None), "itemsize", 2)
    hidden, wide, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or hidden // heads
    groups = config.num_key_value_heads * head
    layer = number * (7 * hidden + 3 * groups + 4 * wide)
    if checkpointing:
        return int(config.num_hidden_layers * number * hidden + 2 * layer)
    return int(config.num_hidden_layers * layer)


def fit(config: Any, wanted: int, longest: int, free: int | None, checkpointing: bool | None) -> Fit:
    """The largest packs up to `wanted` tokens, and never under `longest`; `checkpointing` None is chosen here.

    Without checkpointing where packs of LEAST tokens fit so, with it else.
    """

    def most(checkpointed: bool) -> int:
        if free is None:
            return wanted
        room = max(free * SHARE - min(OVERHEAD, free // 4), 0)
        return int(room // bytes_per_token(config, checkpointed))

    chosen = most(False) < min(max(LEAST, longest), wanted) if checkpointing is None else checkpointing
    tokens = max(min(most(chosen), wanted), longest)
    return Fit(tokens, chosen, bytes_per_token(config, chosen), free)


def free_memory() -> int | None:
    """Bytes that this process may still take on its GPU, its own cap taken into account; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    cap = int(torch.cuda.get_per_process_memory_fraction() * total)
    return int(min(free + torch.cuda.memory_reserved(), cap) - torch.cuda.memory_allocated())
