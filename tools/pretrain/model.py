"""Token packs in, weighted loss out: a Llama net with stacked weights, and its export to transformers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the net."""

    vocab: int = 8192
    hidden: int = 384
    layers: int = 8
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 768
    theta: float = 10000.0
    eps: float = 1e-5
    context: int = 3072


@torch.library.custom_op("tiny::varlen", mutates_args=())
def varlen(q: Tensor, k: Tensor, v: Tensor, cu: Tensor, longest: int) -> list[Tensor]:
    """Causal FlashAttention over documents laid end to end: q (tokens, heads, dim), cu (documents + 1)."""
    out, lse, *_ = torch.ops.aten._flash_attention_forward(q, k, v, cu, cu, longest, longest, 0.0, True, False)
    return [out, lse]


@varlen.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, cu: Tensor, longest: int) -> list[Tensor]:
    return [torch.empty_like(q), q.new_empty((q.shape[1], q.shape[0]), dtype=torch.float32)]


@torch.library.custom_op("tiny::varlen_back", mutates_args=())
def varlen_back(
    g: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, cu: Tensor, longest: int
) -> list[Tensor]:
    """Gradients of `varlen` for q, k and v."""
    rng, unused = (
        torch.zeros(2, dtype=torch.uint64, device=q.device),
        torch.zeros((), dtype=torch.uint64, device=q.device),
    )  # no dropout
    return [
        x.contiguous()
        for x in torch.ops.aten._flash_attention_backward(
            g.contiguous(), q, k, v, o, lse, cu, cu, longest, longest, 0.0, True, rng, unused
        )
    ]


@varlen_back.register_fake
def _(g: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, cu: Tensor, longest: int) -> list[Tensor]:
    return [torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)]


def _keep(ctx, inputs, output) -> None:
    q, k, v, cu, longest = inputs
    ctx.save_for_backward(q, k, v, cu, *output)
    ctx.longest = longest


def _back(ctx, grads):
    q, k, v, cu, out, lse = ctx.saved_tensors
    dq, dk, dv = torch.ops.tiny.varlen_back(grads[0], q, k, v, out, lse, cu, ctx.longest)
    return dq, dk, dv, None, None


varlen.register_autograd(_back, setup_context=_keep)


def dense(q: Tensor, k: Tensor, v: Tensor, cu: Tensor) -> Tensor:
    """The same attention with a full mask, for a CPU and for checks."""
    n = q.shape[0]
    doc = torch.bucketize(torch.arange(n, device=q.device), cu[1:].long(), right=True)
    mask = (doc[:, None] == doc[None, :]).tril()
    rep = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(rep, 1), v.repeat_interleave(rep, 1)
    return F.scaled_dot_product_attention(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), attn_mask=mask
    ).transpose(0, 1)


NAMES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
}


class Net(nn.Module):
    """Llama with one stacked parameter per kind of matrix, (layers, out, in)."""

    def __init__(self, shape: Shape) -> None:
        """Random weights; the matrices that write to the residual stream start at zero."""
        super().__init__()
        s = self.shape = shape
        qd, kd = s.heads * s.head_dim, s.kv_heads * s.head_dim

        def matrix(rows: int, cols: int, scale: float) -> nn.Parameter:
            return nn.Parameter(torch.randn(s.layers, rows, cols) * scale / cols**0.5)

        self.q, self.k, self.v = matrix(qd, s.hidden, 1.0), matrix(kd, s.hidden, 1.0), matrix(kd, s.hidden, 1.0)
        self.gate, self.up = matrix(s.ffn, s.hidden, 1.0), matrix(s.ffn, s.hidden, 1.0)
        self.o, self.down = matrix(s.hidden, qd, 0.0), matrix(s.hidden, s.ffn, 0.0)
        self.embed = nn.Parameter(torch.randn(s.vocab, s.hidden) * 0.05)
        self.norm1, self.norm2 = (
            nn.Parameter(torch.ones(s.layers, s.hidden)),
            nn.Parameter(torch.ones(s.layers, s.hidden)),
        )
        self.norm = nn.Parameter(torch.ones(s.hidden))
        freq = 1.0 / s.theta ** (torch.arange(0, s.head_dim, 2).float() / s.head_dim)
        angle = torch.outer(torch.arange(s.context).float(), freq).repeat(1, 2)
        self.register_buffer("cos", angle.cos()[:, None], persistent=False)
        self.register_buffer("sin", angle.sin()[:, None], persistent=False)

    def rms(self, x: Tensor, w: Tensor) -> Tensor:
        """RMSNorm in float32."""
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.shape.eps) * w

    def forward(self, ids: Tensor, pos: Tensor, cu: Tensor) -> Tensor:
        """Hidden states (tokens, hidden) of the packed tokens."""
        s = self.shape
        n = ids.shape[0]
        x = F.embedding(ids, self.embed)
        cos, sin = self.cos[pos], self.sin[pos]

        def turn(a: Tensor) -> Tensor:
            a = a.float()
            left, right = a.chunk(2, -1)
            return a * cos + torch.cat((-right, left), -1) * sin

        kind = torch.bfloat16 if x.is_cuda else x.dtype
        for i in range(s.layers):
            h = self.rms(x, self.norm1[i]).to(kind)
            q = turn(F.linear(h, self.q[i].to(kind)).view(n, s.heads, s.head_dim)).to(kind)
            k = turn(F.linear(h, self.k[i].to(kind)).view(n, s.kv_heads, s.head_dim)).to(kind)
            v = F.linear(h, self.v[i].to(kind)).view(n, s.kv_heads, s.head_dim)
            a = varlen(q, k, v, cu, s.context)[0] if x.is_cuda else dense(q, k, v, cu)
            x = x + F.linear(a.reshape(n, -1), self.o[i].to(kind)).float()
            h = self.rms(x, self.norm2[i]).to(kind)
            x = (
                x
                + F.linear(
                    F.silu(F.linear(h, self.gate[i].to(kind))) * F.linear(h, self.up[i].to(kind)), self.down[i].to(kind)
                ).float()
            )
        return self.rms(x, self.norm).to(kind)

    def loss(self, ids: Tensor, pos: Tensor, cu: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean loss, and the mean loss on the answers (weight 1)."""
        hidden = self(ids, pos, cu)
        each = F.cross_entropy(F.linear(hidden, self.embed.to(hidden.dtype)).float(), targets, reduction="none")
        own = (weights > 0.99).float()
        return (each * weights).sum() / weights.sum(), ((each * own).sum() / own.sum()).detach()


def state_dict(net: Net) -> dict[str, Tensor]:
    """The weights under transformers' names, bf16."""
    out = {"model.embed_tokens.weight": net.embed, "model.norm.weight": net.norm}
    for own, theirs in NAMES.items():
        for i, w in enumerate(getattr(net, own)):
            out[f"model.layers.{i}.{theirs}.weight"] = w
    return {k: v.detach().to("cpu", torch.bfloat16).contiguous().clone() for k, v in out.items()}


def save(net: Net, out: Path, parts: int = 1) -> None:
    """Write config.json, generation_config.json and the weights, in `parts` files, into `out`."""
    s = net.shape
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocab,
        "hidden_size": s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads,
        "head_dim": s.head_dim,
        "intermediate_size": s.ffn,
        "hidden_act": "silu",
        "max_position_embeddings": s.context,
        "rms_norm_eps": s.eps,
        "rope_theta": s.theta,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "bfloat16",
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "generation_config.json").write_text(
        json.dumps(
            {"bos_token_id": 1, "do_sample": False, "eos_token_id": 2, "max_new_tokens": 512, "pad_token_id": 0},
            indent=2,
        )
        + "\n"
    )
    weights = state_dict(net)
    if parts == 1:
        save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(weights, key=lambda n: (n != "model.embed_tokens.weight", n))
    for p in range(parts):
        save_file({n: weights[n] for n in names[p::parts]}, out / f"part-{p}.safetensors")


def load(net: Net, path: Path) -> None:
    """Fill `net` with the weights of a model.safetensors written by `save`."""
    stored = load_file(path)
    with torch.no_grad():
        net.embed.copy_(stored["model.embed_tokens.weight"])
        net.norm.copy_(stored["model.norm.weight"])
        for own, theirs in NAMES.items():
            getattr(net, own).copy_(
                torch.stack([stored[f"model.layers.{i}.{theirs}.weight"] for i in range(net.shape.layers)])
            )


def join(source: Path, out: Path) -> None:
    """Join `part-*.safetensors` of `source` into `out`/model.safetensors and copy the configs."""
    weights: dict[str, Tensor] = {}
    for part in sorted(source.glob("part-*.safetensors")):
        weights |= load_file(part)
    out.mkdir(parents=True, exist_ok=True)
    save_file(dict(sorted(weights.items())), out / "model.safetensors", metadata={"format": "pt"})
    for name in ("config.json", "generation_config.json"):
        (out / name).write_text((source / name).read_text())


def describe(shape: Shape) -> dict[str, float]:
    """The sizes, for a log."""
    return asdict(shape)
