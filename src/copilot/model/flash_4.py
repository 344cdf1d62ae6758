"""FlashAttention-4 for the rows of a pack, where somebody installed it and the GPU is of a kind it is written for.

`pip install flash-attn-4` brings it; it needs a compiler under NVIDIA's own licence, so it is no dependency of ours.
torch can put it behind its own attention, but without a backward for causal rows of different lengths (2.11).
"""

from functools import cache
from typing import Any


@cache
def flash_4() -> Any:
    """Causal attention within rows, f(q, k, v, starts, longest, scale) → (t, heads, dim); None where it cannot be had.

    q (t, heads, dim), k and v (t, fewer heads, dim), all in 16 bits; starts (rows + 1,) in int32, the last one is t.
    Source: the package flash-attn-4.
    """
    import torch

    if not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] not in (9, 10):
        return None
    try:
        from flash_attn.cute.interface import _flash_attn_bwd, _flash_attn_fwd  # type: ignore[import-not-found]
    except ImportError:
        return None

    def rows(starts: Any, longest: int, scale: float) -> dict[str, Any]:
        lengths = {"cu_seqlens_q": starts, "cu_seqlens_k": starts, "max_seqlen_q": longest, "max_seqlen_k": longest}
        return {**lengths, "softmax_scale": scale, "causal": True}

    @torch.library.custom_op("copilot::flash_4", mutates_args=())
    def forward(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, starts: torch.Tensor, longest: int, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out, norm = _flash_attn_fwd(q, k, v, **rows(starts, longest, scale), return_lse=True)[:2]
        return out, norm

    @torch.library.custom_op("copilot::flash_4_backward", mutates_args=())
    def backward(
        slope: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        out: torch.Tensor,
        norm: torch.Tensor,
        starts: torch.Tensor,
        longest: int,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        options = {**rows(starts, longest, scale), "deterministic": torch.are_deterministic_algorithms_enabled()}
        dq, dk, dv = _flash_attn_bwd(q, k, v, out, slope, norm, **options)[:3]
        return dq, dk, dv

    @forward.register_fake
    def _(q: Any, k: Any, v: Any, starts: Any, longest: int, scale: float) -> Any:
        return q.new_empty(q.shape), q.new_empty((q.shape[1], q.shape[0]), dtype=torch.float32)

    @backward.register_fake
    def _(slope: Any, q: Any, k: Any, v: Any, out: Any, norm: Any, starts: Any, longest: int, scale: float) -> Any:
        return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)

    def keep(ctx: Any, inputs: Any, output: Any) -> None:
        q, k, v, starts, ctx.longest, ctx.scale = inputs
        ctx.save_for_backward(q, k, v, *output, starts)

    def slopes(ctx: Any, slope: Any, _: Any) -> Any:
        q, k, v, out, norm, starts = ctx.saved_tensors
        return *backward(slope.contiguous(), q, k, v, out, norm, starts, ctx.longest, ctx.scale), None, None, None

    forward.register_autograd(slopes, setup_context=keep)
    return lambda *inputs: forward(*inputs)[0]
