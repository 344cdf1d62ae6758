"""A PEFT model in; for the time of a block its LoRA layers computed by one operator, those of one input as one product.

Parameters stay where PEFT has them: what the operator takes is put together of them at each call, and is small.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

from copilot.model.glu import register as register_glu
from copilot.model.lora_op import base_weight, joined_weight, register_lora_linear

SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))  # in the order in which a layer calls them


@contextmanager
def fast_adapters(base: Any) -> Iterator[None]:
    """Within the block the LoRA layers of `base` run so."""
    from torch.distributed.tensor import DTensor

    register_lora_linear()
    sharded = any(isinstance(weight, DTensor) for weight in base.parameters())
    groups = [[module] for module in base.modules() if _fast(module)] if sharded else _groups(base)
    for group in groups:
        first = group[0]
        if sharded:
            first.packed_weight = None  # it is whole within its layer's forward only
        else:
            layers = [module.get_base_layer() for module in group]
            first.packed_weight = joined_weight(layers) if len(group) > 1 else base_weight(layers[0])
        first.packed_group, first.packed_rest = group, []
        first.forward = MethodType(_forward, first)
        for module in group[1:]:
            module.packed_rest = first.packed_rest
            module.forward = MethodType(_taken, module)
    blocks = [] if sharded else [block for block in base.modules() if _gated(block)]
    for block in blocks:
        register_glu()
        block.forward = MethodType(_of_block, block)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
        for group in groups:
            del group[0].packed_weight, group[0].packed_group
            for module in group:
                del module.forward, module.packed_rest


def _forward(module: Any, x: Any) -> Any:
    """The outputs of all layers of the group, of which the first is given now and the others when they are called."""
    y, widths = _product(module, x)
    parts = y.split(widths, -1)
    biases = [one.get_base_layer().bias for one in module.packed_group]
    parts = [part if bias is None else part + bias for part, bias in zip(parts, biases, strict=True)]
    module.packed_rest[:] = parts[1:]
    return parts[0]


def _product(module: Any, x: Any) -> tuple[Any, list[int]]:
    """x (..., in) times the weights of all layers of the group, one beside the other, and how wide each is."""
    import torch

    group = module.packed_group
    names = [one.active_adapters[0] for one in group]
    a = [one.lora_A[name].weight for one, name in zip(group, names, strict=True)]
    b = [one.lora_B[name].weight * one.scaling[name] for one, name in zip(group, names, strict=True)]
    both: Any = torch.block_diag(*b)  # type: ignore[no-untyped-call]
    weight = module.packed_weight or base_weight(module.get_base_layer())
    y, _ = torch.ops.copilot.lora_linear(x, *weight, torch.cat(a).to(x.dtype), both.to(x.dtype))
    return y, [len(part) for part in b]


def _of_block(block: Any, x: Any) -> Any:
    """A gated feed-forward block: silu(gate) * up, and down."""
    import torch

    return block.down_proj(torch.ops.copilot.glu(_product(block.gate_proj, x)[0]))


def _taken(module: Any, x: Any) -> Any:
    return module.packed_rest.pop(0)


def _groups(base: Any) -> list[list[Any]]:
    """Layers that the operator computes, those together that read the same input."""
    found: list[list[Any]] = []
    seen: set[int] = set()
    for parent in base.modules():
        for names in SIBLINGS:
            group = [getattr(parent, name, None) for name in names]
            if all(map(_fast, group)) and _alike(group):
                found.append(group)
                seen.update(map(id, group))
    return found + [[module] for module in base.modules() if _fast(module) and id(module) not in seen]


def _gated(block: Any) -> bool:
    """Whether a block's gate and up are one product on a GPU, without biases, and SiLU is what stands between them."""
    group = getattr(getattr(block, "gate_proj", None), "packed_group", [])
    layers = [module.get_base_layer() for module in group]
    plain = len(group) == 2 and all(layer.bias is None and layer.weight.is_cuda for layer in layers)
    silu = type(getattr(block, "act_fn", None)).__name__ in ("SiLU", "SiLUActivation")
    return plain and silu and hasattr(block, "down_proj")


def _fast(module: Any) -> bool:
    """Whether a module is a LoRA layer that the operator computes: one adapter, no dropout, no DoRA."""
    from peft.tuners.lora import LoraLayer
    from torch.nn import Dropout, Linear

    if not isinstance(module, LoraLayer) or len(module.active_adapters) != 1:
        return False
    name = module.active_adapters[0]
    base = module.get_base_layer()
    plain = isinstance(base, Linear) and (base.weight.is_floating_point() or hasattr(base.weight, "quant_state"))
    dropout = module.lora_dropout[name]
    bias = getattr(module, "lora_bias", {}).get(name, False)
    return plain and not isinstance(dropout, Dropout) and not bias and not module.use_dora.get(name, False)


def _alike(group: Sequence[Any]) -> bool:
    """Whether the base weights can lie one after the other: same input and type, no block of 4 bits across two."""
    weights = [base_weight(module.get_base_layer()) for module in group]
    kinds = {(w[0].dtype, w[1] is None, *w[2:4], w[4][1]) for w in weights}
    whole = all(w[1] is None or (w[4][0] * w[4][1]) % w[2] == 0 for w in weights)
    return len(kinds) == 1 and whole
