"""silu(gate) * up of the two halves of one product, and the gradient of both halves as one, by Triton.

torch's compiler joins the two gradients in a kernel that reads every input twice.
"""

from functools import cache
from typing import Any

BLOCK = 1024  # columns of a program


@cache
def register() -> None:
    """Make `torch.ops.copilot.glu`: y (..., 2 n) → (..., n)."""
    import torch
    import triton  # type: ignore[import-not-found]

    from copilot.model.triton_kernels import make

    kernels = make()

    def launch(kernel: str, y: torch.Tensor, *more: torch.Tensor) -> None:
        width = y.shape[-1] // 2
        kernels[kernel][(y.numel() // (2 * width), triton.cdiv(width, BLOCK))](y, *more, width, BLOCK=BLOCK)

    @torch.library.custom_op("copilot::glu", mutates_args=())
    def forward(y: torch.Tensor) -> torch.Tensor:
        out = y.new_empty((*y.shape[:-1], y.shape[-1] // 2))
        launch("glu", y, out)
        return out

    @torch.library.custom_op("copilot::glu_backward", mutates_args=())
    def backward(slope: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(y)
        launch("glu_backward", y, slope, out)
        return out

    @forward.register_fake
    def _(y: Any) -> Any:
        return y.new_empty((*y.shape[:-1], y.shape[-1] // 2))

    @backward.register_fake
    def _(slope: Any, y: Any) -> Any:
        return torch.empty_like(y)

    forward.register_autograd(
        lambda ctx, slope: backward(slope.contiguous(), *ctx.saved_tensors),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
    )
