"""A PEFT model in; the same model reading packs out: many rows at once, fast, each as if it were alone.

For the time of training the base model's `forward` takes a pack (`packs.lay`) and gives the loss; layers are compiled
on a GPU, attention looks back within a row only, LoRA layers are one operator, and logits are made in pieces, of
answer tokens alone. Parameters, their names and their optimizer stay PEFT's and TRL's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from types import MethodType
from typing import Any

from copilot.errors import CopilotError
from copilot.model.flash_4 import flash_4
from copilot.model.lora_forward import fast_adapters
from copilot.model.packs import IGNORED

NAME = "packed"
KINDS = ("llama", "mistral", "qwen2", "qwen3", "phi3", "smollm3")  # logits are the head's product, attention is plain
LOGITS_BYTES = 1 << 30  # of one piece of logits in float32


def check_packable(config: Any) -> None:
    """Raises CopilotError for a model whose forward is not known to be what `packed` does, or a GPU that is too old."""
    import torch

    if torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0):
        name = torch.cuda.get_device_name()
        raise CopilotError(f"train.packing needs bfloat16, which {name} does not compute", "set train.packing=false")
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if config.model_type not in KINDS or window:
        raise CopilotError(
            f"train.packing does not know this kind of model ({config.model_type}"
            f"{', with a sliding window' if window else ''})",
            "set train.packing=false",
        )


@contextmanager
def reading_packs(model: Any, compiled: bool, checkpointing: bool = False) -> Iterator[None]:
    """Within the block `model(**pack, count=n)` is the pack's summed loss over answer tokens divided by n."""
    base = model.get_base_model()
    check_packable(base.config)
    implementation = base.config._attn_implementation
    _register_attention()
    base.set_attn_implementation(NAME)
    layers = base.get_decoder().layers
    hook = base.get_input_embeddings().register_forward_hook(lambda module, args, out: out.requires_grad_())
    before = base.__dict__.get("forward")  # TRL may have put one there
    base.forward = MethodType(_loss_of_pack, base)
    if checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    for layer in layers if compiled else ():
        layer.compile(dynamic=False)
    try:
        with fast_adapters(base):
            yield
    finally:
        hook.remove()
        if checkpointing:
            base.gradient_checkpointing_disable()
        del base.forward
        if before is not None:
            base.forward = before
        for layer in layers:
            layer._compiled_call_impl = None
        base.set_attn_implementation(implementation)


def _loss_of_pack(
    base: Any, input_ids: Any, position_ids: Any, targets: Any, places: Any, count: Any, **rows: Any
) -> dict[str, Any]:
    import torch

    hidden = base.get_decoder()(input_ids=input_ids, position_ids=position_ids, use_cache=False, **rows)[0]
    head = base.get_output_embeddings().weight
    share = 1 / torch.as_tensor(count, dtype=torch.float32, device=hidden.device)
    return {"loss": _chunked_loss().apply(hidden[0, places], head, targets[0, places], share)}


def _register_attention() -> None:
    """Without a mask of that name, for which transformers would look into each pack and so wait for the GPU."""
    import torch
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _on_gpu() if torch.cuda.is_available() else packed_attention)


def packed_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **options: Any
) -> tuple[Any, None]:
    """Causal attention within each row of a pack, row by row: query (1, heads, t, dim) → (1, t, heads, dim)."""
    import torch

    many = query.shape[1] // key.shape[1]  # grouped heads would keep torch from a kernel without t x t numbers
    key, value = key.repeat_interleave(many, 1), value.repeat_interleave(many, 1)
    edges = options["cu_seq_lens_q"].tolist()
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query[:, :, start:end],
            key[:, :, start:end],
            value[:, :, start:end],
            is_causal=True,
            scale=scaling,
        )
        for start, end in pairwise(edges)
        if end > start
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


def _on_gpu() -> Any:
    """The same by torch's own kernel for rows of different lengths, which computes in 16 bits alone.

    Source: Dao 2023 (FlashAttention-2).
    """
    import inspect

    import torch
    from torch.nn.attention.varlen import varlen_attn

    fast = flash_4()
    grouped: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}

    def attention(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **options: Any
    ) -> tuple[Any, None]:
        if query.dtype == torch.float32:
            return packed_attention(module, query, key, value, attention_mask, scaling, **options)
        starts, longest = options["cu_seq_lens_q"], options["max_length_q"]
        q, k, v = (part.transpose(1, 2).squeeze(0) for part in (query, key, value))  # (t, heads, dim)
        if fast:
            return fast(q, k, v, starts, longest, scaling).unsqueeze(0), None
        out: Any = varlen_attn(q, k, v, starts, starts, longest, longest, scale=scaling, window_size=(-1, 0), **grouped)
        return out.unsqueeze(0), None

    return attention


@cache
def _chunked_loss() -> Any:
    """Cross-entropy of hidden (n, dim) against targets (n,) under a frozen head (vocab, dim), summed, times a share.

    In pieces; the gradient is made on the way forward, so that no logits are kept, and takes the share before it is
    rounded. Source: Hsu et al. 2024 (Liger kernel).
    """
    import torch

    def piece(logits: Any, targets: Any, share: Any) -> tuple[Any, Any]:
        """Loss of a piece, and its gradient in place of the logits; IGNORED targets count nothing."""
        kept = (targets != IGNORED).unsqueeze(1)
        scores = logits.float()
        norm = torch.logsumexp(scores, 1, keepdim=True)
        place = torch.where(kept, targets.unsqueeze(1), 0)
        loss = torch.where(kept, norm - scores.gather(1, place), 0).sum()
        hit = torch.arange(scores.shape[1], device=scores.device).unsqueeze(0) == place
        slope = torch.where(kept, torch.exp(scores - norm) - hit.float(), 0)
        return loss, (slope * share).to(logits.dtype)

    fused = torch.compile(piece, dynamic=False)

    class ChunkedLoss(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: Any, head: Any, targets: Any, share: Any) -> Any:
            rows = max(min(LOGITS_BYTES // (4 * head.shape[0]), 4096) // 128 * 128, 128)
            rows = rows if hidden.is_cuda else max(min(rows, len(hidden)), 1)  # one shape for the compiler
            gradient = torch.empty_like(hidden)
            total = torch.zeros((), device=hidden.device)
            for at in range(0, len(hidden), rows):
                part, wanted = hidden[at : at + rows], targets[at : at + rows]
                short = rows - len(part)
                if short:
                    part = torch.nn.functional.pad(part, (0, 0, 0, short))
                    wanted = torch.nn.functional.pad(wanted, (0, short), value=IGNORED)
                loss, slope = (fused if hidden.is_cuda else piece)(part @ head.t(), wanted, share)
                total += loss
                gradient[at : at + rows] = (slope @ head)[: rows - short]
            ctx.save_for_backward(gradient)
            return total * share

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            return ctx.saved_tensors[0] * slope, None, None, None

    return ChunkedLoss
