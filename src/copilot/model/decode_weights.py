"""A loaded language model in; the fused weights that one decoding step reads out, or why the step cannot be ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FAMILIES = ("llama", "mistral", "qwen2")
ROPES = ("default", "linear", "llama3", "yarn")  # whose angles do not change with the length of the text


class Unsupported(Exception):
    """Why this model is decoded by transformers' own generate."""


@dataclass(frozen=True, slots=True)
class Linear:
    """x (n, in) → x weight' + bias."""

    weight: Any  # (out, in)
    bias: Any  # (out,) or None


@dataclass(frozen=True, slots=True)
class Layer:
    """One block: two norms (hidden,) and four products."""

    attention_norm: Any
    qkv: Linear  # queries, keys and values one after the other
    o: Linear
    mlp_norm: Any
    gate_up: Linear  # gate, then up
    down: Linear


@dataclass(frozen=True, slots=True)
class Weights:
    """A Llama-like model as its step reads it."""

    embedding: Any  # (vocab, hidden)
    layers: tuple[Layer, ...]
    norm: Any  # (hidden,)
    head: Linear
    angles: Any  # (dim / 2,) of float32: radians a position
    rope_scale: float
    heads: int
    groups: int
    dim: int  # of a head
    eps: float

    def rotation(self, length: int) -> tuple[Any, Any]:
        """Cosines and sines (length, dim) in the type of the weights, as transformers makes them."""
        import torch

        turns = torch.arange(length, device=self.angles.device).float()[:, None] * self.angles[None, :]
        both = torch.cat((turns, turns), -1)
        kind = self.embedding.dtype
        return (both.cos() * self.rope_scale).to(kind), (both.sin() * self.rope_scale).to(kind)


def read_weights(model: Any, length: int) -> Weights:
    """The fused weights for texts of up to `length` tokens.

    Dense weights are fused once and the model's own become views of them, so they cost no memory twice; 4-bit weights
    are dequantised, which costs 2 bytes for each. An adapter is added to its weight in float32 and the sum rounded
    once, which saves two products for each layer and token: on four Llama-like layers of width 2,048 that moved the
    logits from those of float32 by 13.9 % of what the adapter changes, where bfloat16 with the adapter beside its
    weight moved them by 13.5 %; an adapter a tenth as large drowns in bfloat16's own rounding either way.
    Raises Unsupported, before anything is changed.
    """
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = bare.config
    _check(bare, config, length)
    heads = config.num_attention_heads
    kind = bare.model.norm.weight.dtype
    if model.get_input_embeddings().weight.dtype != kind:
        raise Unsupported("weights of several types")
    angles, rope_scale = _angles(config, bare.device)
    layers = []
    for layer in bare.model.layers:
        at, mlp = layer.self_attn, layer.mlp
        layers.append(
            Layer(
                layer.input_layernorm.weight.detach(),
                _fused((at.q_proj, at.k_proj, at.v_proj), kind),
                _fused((at.o_proj,), kind),
                layer.post_attention_layernorm.weight.detach(),
                _fused((mlp.gate_proj, mlp.up_proj), kind),
                _fused((mlp.down_proj,), kind),
            )
        )
    return Weights(
        bare.get_input_embeddings().weight.detach(),
        tuple(layers),
        bare.model.norm.weight.detach(),
        _fused((bare.get_output_embeddings(),), kind),
        angles,
        rope_scale,
        heads,
        config.num_key_value_heads,
        getattr(config, "head_dim", None) or config.hidden_size // heads,
        config.rms_norm_eps,
    )


def fused_bytes(model: Any) -> int:
    """What `read_weights` takes of the device's memory: 2 bytes for each weight that is in 4 bits or has an adapter."""
    total, largest = 0, 0
    for module in model.modules():
        base = getattr(module, "base_layer", module)
        if type(base).__name__ not in ("Linear", "Linear4bit"):
            continue
        size = 2 * base.in_features * base.out_features
        if base is not module or type(base).__name__ == "Linear4bit":
            total += size
        largest = max(largest, size)
    return total + 6 * largest  # room to fuse, and for the sum in float32


def _check(bare: Any, config: Any, length: int) -> None:
    if config.model_type not in FAMILIES:
        raise Unsupported(f"a model of the kind {config.model_type}")
    if config.hidden_act != "silu":
        raise Unsupported(f"the activation {config.hidden_act}")
    window = getattr(config, "sliding_window", None)
    if window is not None and window < length:
        raise Unsupported(f"attention in a window of {window} tokens")
    for layer in bare.model.layers:
        at, mlp = layer.self_attn, layer.mlp
        for part in (at.q_proj, at.k_proj, at.v_proj, at.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj):
            _check_linear(part)
    _check_linear(bare.get_output_embeddings())
    if type(bare.get_input_embeddings()).__name__ != "Embedding":
        raise Unsupported("an adapter on the embeddings")


def _check_linear(module: Any) -> None:
    base = getattr(module, "base_layer", module)
    if type(base).__name__ not in ("Linear", "Linear4bit"):
        raise Unsupported(f"weights of the kind {type(base).__name__}")
    if getattr(module, "lora_variant", None) or any(getattr(module, "lora_bias", {}).values()):
        raise Unsupported("an adapter that is no plain LoRA")


def _angles(config: Any, device: Any) -> tuple[Any, float]:
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in ROPES:
        raise Unsupported(f"rotary positions of the kind {kind}")
    if kind != "default":
        angles, scale = ROPE_INIT_FUNCTIONS[kind](config, device)
        return angles.float(), float(scale)
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    powers = torch.arange(0, dim, 2, dtype=torch.float) / dim
    return (1.0 / config.rope_parameters["rope_theta"] ** powers).to(device), 1.0


def _fused(modules: Sequence[Any], kind: Any) -> Linear:
    """Several products of one input as one."""
    import torch

    weights = [_dense(module, kind) for module in modules]
    sizes = [weight.shape[0] for weight in weights]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    if len(weights) > 1:
        for module, part, fused in zip(modules, weights, torch.split(weight, sizes), strict=True):
            if type(module).__name__ == "Linear" and module.weight.data_ptr() == part.data_ptr():
                module.weight.data = fused
    bases = [getattr(module, "base_layer", module) for module in modules]
    if all(base.bias is None for base in bases):
        return Linear(weight, None)
    zeros = [weight.new_zeros(n) for n in sizes]
    return Linear(
        weight,
        torch.cat(
            [z if base.bias is None else base.bias.detach().to(kind) for base, z in zip(bases, zeros, strict=True)]
        ),
    )


def _adapters(module: Any) -> Iterator[tuple[Any, Any, float]]:
    """(a, b, scale) of each adapter that is at work and not merged into the weight."""
    if not hasattr(module, "lora_A") or module.disable_adapters:
        return
    for name in module.active_adapters:
        if name in module.lora_A and name not in module.merged_adapters:
            yield module.lora_A[name].weight.detach(), module.lora_B[name].weight.detach(), module.scaling[name]


def _dense(module: Any, kind: Any) -> Any:
    """The weight (out, in) as numbers of the type `kind`, adapters added."""
    base = getattr(module, "base_layer", module)
    weight = base.weight.data
    state = getattr(base.weight, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(base.weight.data, state)
    for a, b, scale in _adapters(module):
        weight = weight.float().addmm(b.float(), a.float(), alpha=scale)
    return weight.to(kind)
