"""A linear layer with LoRA as one operator for torch and its compiler: base weights dense or in 4 bits, never copied.

PEFT adds the adapter's part as a tensor of its own, in float32; here the base's product is added to it in place, so
that their sum is rounded once. Layers that read the same input are one product (`joined_weight`).
Source: Hu et al. 2021 (LoRA), Dettmers et al. 2023 (QLoRA: the base dequantised where it is used).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

Weight = tuple[Any, Any, int, str, list[int]]  # weight, absmax, blocksize, kind, shape (out, in)


@cache
def register_lora_linear() -> None:
    """Make `y, t = torch.ops.copilot.lora_linear(x, weight, absmax, blocksize, kind, shape, a, b)`, once.

    x (..., in); weight (out, in), or packed 4-bit values with their absmax; a (r, in), b (out, r), both of x's type.
    t = x a', y = t b' + x W'. Gradients are those of x, a and b.
    """
    import torch
    from torch import Tensor

    backward = _register_backward()

    @torch.library.custom_op("copilot::lora_linear", mutates_args=())
    def forward(
        x: Tensor, weight: Tensor, absmax: Tensor | None, blocksize: int, kind: str, shape: list[int],
        a: Tensor, b: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        flat = x.reshape(-1, shape[1])
        t = flat @ a.t()  # (n, r)
        y = (t @ b.t()).addmm_(flat, _dense(weight, absmax, blocksize, kind, shape, x).t())  # (n, out)
        return y.view(*x.shape[:-1], shape[0]), t

    @forward.register_fake
    def _(
        x: Tensor, weight: Tensor, absmax: Tensor | None, blocksize: int, kind: str, shape: list[int],
        a: Tensor, b: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return x.new_empty(*x.shape[:-1], shape[0]), x.new_empty(x.shape.numel() // shape[1], a.shape[0])

    def keep(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, absmax, blocksize, kind, shape, a, b = inputs
        ctx.save_for_backward(x, output[1], weight, absmax, a, b)
        ctx.rest = (blocksize, kind, shape)

    def gradients(ctx: Any, dy: Any, dt: Any) -> tuple[Any, ...]:
        x, t, weight, absmax, a, b = ctx.saved_tensors
        dx, da, db = backward(dy.contiguous(), x, t, weight, absmax, *ctx.rest, a, b)
        return dx, None, None, None, None, None, da, db

    forward.register_autograd(gradients, setup_context=keep)


def _dense(weight: Any, absmax: Any, blocksize: int, kind: str, shape: list[int], like: Any) -> Any:
    """The base weight (out, in) in the type of `like`."""
    import torch

    if absmax is None:
        return weight.to(like.dtype)
    return torch.ops.bitsandbytes.dequantize_4bit(weight, absmax, blocksize, kind, shape, like.dtype)


def _register_backward() -> Any:
    import torch
    from torch import Tensor

    @torch.library.custom_op("copilot::lora_linear_backward", mutates_args=())
    def backward(
        dy: Tensor, x: Tensor, t: Tensor, weight: Tensor, absmax: Tensor | None, blocksize: int, kind: str,
        shape: list[int], a: Tensor, b: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        flat, out = x.reshape(-1, shape[1]), dy.reshape(-1, shape[0])
        u = out @ b  # (n, r)
        dx = (u @ a).addmm_(out, _dense(weight, absmax, blocksize, kind, shape, dy))  # (n, in)
        return dx.view(x.shape), u.t() @ flat, out.t() @ t

    @backward.register_fake
    def _(
        dy: Tensor, x: Tensor, t: Tensor, weight: Tensor, absmax: Tensor | None, blocksize: int, kind: str,
        shape: list[int], a: Tensor, b: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        return x.new_empty(x.shape), torch.empty_like(a), torch.empty_like(b)

    return backward


def base_weight(layer: Any) -> Weight:
    """What `lora_linear` takes of a torch or bitsandbytes 4-bit linear layer.

    A doubly quantised absmax is unfolded once (4 bytes for each 64 weights).
    """
    weight = layer.weight
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight.detach(), None, 0, "", list(weight.shape)
    absmax = state.absmax
    if state.nested:
        from bitsandbytes.functional import dequantize_blockwise

        absmax = dequantize_blockwise(absmax, state.state2) + state.offset
    return weight.data, absmax.float(), state.blocksize, state.quant_type, list(state.shape)


def joined_weight(layers: Sequence[Any]) -> Weight:
    """One weight for layers of the same input, one after the other; what they held becomes views of it."""
    import torch

    parts = [base_weight(layer) for layer in layers]
    weight = torch.cat([part[0] for part in parts])
    at = 0
    for layer, part in zip(layers, parts, strict=True):
        layer.weight.data = weight[at : at + len(part[0])]
        at += len(part[0])
    absmax = None if parts[0][1] is None else torch.cat([part[1] for part in parts])
    return weight, absmax, *parts[0][2:4], [sum(part[4][0] for part in parts), parts[0][4][1]]
