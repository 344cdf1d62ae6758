"""Fused weights in; a decoder of fixed size out: prompts read into a static cache, then one CUDA graph a token.

On a CPU, or where no graph can be made, the same functions run one by one. All rows step together; a row that nobody
uses computes what nobody reads.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from copilot.model.decode_kernels import Ops, rotate
from copilot.model.decode_weights import Weights

PACK = 8192  # prompt tokens that are read at once
PARTS = 256  # of a row's logits, at most


class Decoder:
    """Rows of one model that are written in step, each over its own part of a cache."""

    def __init__(self, weights: Weights, rows: int, capacity: int, ops: Ops) -> None:
        """`capacity` is the most tokens of a row. The cache takes 2 layers groups dim numbers for each of them."""
        import torch

        device, kind = weights.embedding.device, weights.embedding.dtype
        self.weights, self.rows, self.capacity, self.ops = weights, rows, capacity, ops
        shape = (rows, weights.groups, capacity, weights.dim)
        self.keys = [torch.zeros(shape, device=device, dtype=kind) for _ in weights.layers]
        self.values = [torch.zeros(shape, device=device, dtype=kind) for _ in weights.layers]
        self.cos, self.sin = weights.rotation(capacity)
        self.vocab = weights.head.weight.shape[0]
        self.ids = torch.zeros(rows, dtype=torch.long, device=device)  # the token to be read next
        self.positions = torch.zeros(rows, dtype=torch.int32, device=device)  # its place
        self.logits = torch.zeros(rows, self.vocab, device=device, dtype=kind)
        self.bits = torch.full((rows, -(-self.vocab // 32)), -1, dtype=torch.int32, device=device)  # what is allowed
        self.shifts = torch.arange(32, dtype=torch.int32, device=device)
        self.temperature = torch.ones((), device=device)
        self.graphs: dict[tuple[bool, ...], Any] = {}
        self.pool: Any = None  # the graphs' memory, used by one after the other
        self.on_gpu = device.type == "cuda"

    def read(self, prompts: Sequence[Sequence[int]], slots: Sequence[int]) -> Any:
        """Read each prompt into the cache of its slot; the logits (prompts, vocab) after their last tokens.

        The prompts lie one after the other without padding, and each looks back at itself alone. Not by cuDNN, which
        makes a plan for each new length.
        """
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        out = []
        at = 0
        with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            while at < len(prompts):
                stop, total = at + 1, len(prompts[at])
                while stop < len(prompts) and total + len(prompts[stop]) <= PACK:
                    total, stop = total + len(prompts[stop]), stop + 1
                out.append(self._read(prompts[at:stop], slots[at:stop]))
                at = stop
        return torch.cat(out)

    def _read(self, prompts: Sequence[Sequence[int]], slots: Sequence[int]) -> Any:
        import torch
        from torch.nn.functional import scaled_dot_product_attention

        w, ops = self.weights, self.ops
        device = w.embedding.device
        sizes = [len(prompt) for prompt in prompts]
        ids = torch.tensor([token for prompt in prompts for token in prompt], device=device)
        last = torch.tensor(sizes, device=device).cumsum(0) - 1
        places = torch.cat([torch.arange(n, device=device) for n in sizes])
        cos, sin = self.cos[places][:, None], self.sin[places][:, None]
        x = torch.nn.functional.embedding(ids, w.embedding)
        for layer, keys, values in zip(w.layers, self.keys, self.values, strict=True):
            qkv = ops.linear(x, layer.qkv, layer.attention_norm, w.eps).view(len(x), -1, w.dim)
            q, k, v = qkv.split((w.heads, w.groups, w.groups), 1)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            parts = []
            for slot, own_q, own_k, own_v in zip(slots, q.split(sizes), k.split(sizes), v.split(sizes), strict=True):
                own_q, own_k, own_v = (part.transpose(0, 1)[None] for part in (own_q, own_k, own_v))
                keys[slot, :, : own_k.shape[2]] = own_k[0]
                values[slot, :, : own_v.shape[2]] = own_v[0]
                seen = scaled_dot_product_attention(own_q, own_k, own_v, is_causal=True, enable_gqa=w.heads != w.groups)
                parts.append(seen[0].transpose(0, 1).reshape(-1, w.heads * w.dim))
            x = ops.linear(torch.cat(parts), layer.o, residual=x)
            hidden = ops.linear(x, layer.gate_up, layer.mlp_norm, w.eps, gated=True)
            x = ops.linear(hidden, layer.down, residual=x)
        return ops.linear(x[last], w.head, w.norm, w.eps)

    def forward(self) -> None:
        """Read the token of each row at its position: `ids`, `positions` → `logits`, and the caches one longer."""
        import torch

        w, ops = self.weights, self.ops
        x = torch.nn.functional.embedding(self.ids, w.embedding)
        for layer, keys, values in zip(w.layers, self.keys, self.values, strict=True):
            qkv = ops.linear(x, layer.qkv, layer.attention_norm, w.eps)
            seen = ops.attend(qkv, keys, values, self.positions, self.cos, self.sin, w.heads)
            x = ops.linear(seen, layer.o, residual=x)
            hidden = ops.linear(x, layer.gate_up, layer.mlp_norm, w.eps, gated=True)
            x = ops.linear(hidden, layer.down, residual=x)
        self.logits.copy_(ops.linear(x, w.head, w.norm, w.eps))

    def pick(self, logits: Any, sampled: bool) -> Any:
        """One token (n,) of logits (n, vocab): the likeliest, or one at `temperature` (by exponential clocks)."""
        import torch

        if not sampled:
            return likeliest(logits)
        shares = torch.softmax(logits.float() / self.temperature, -1)
        return (shares / torch.empty_like(shares).exponential_()).argmax(-1)

    def choose(self, sampled: bool, held: bool) -> None:
        """`logits` → `ids`, one position further; with `held` only among the tokens whose bit is set in `bits`."""
        logits = self.logits
        if held:
            allowed = ((self.bits[:, :, None] >> self.shifts) & 1).view(self.rows, -1)[:, : self.vocab]
            logits = logits.masked_fill(allowed == 0, float("-inf"))
        self.ids.copy_(self.pick(logits, sampled))
        self.positions.add_(1).clamp_(max=self.capacity - 1)

    def run(self, *, forward: bool, choose: bool, sampled: bool = False, held: bool = False) -> None:
        """Forward, choice or both, as a graph that is made when first asked for (`prepare` asks beforehand)."""
        if self.on_gpu:
            self.prepare(forward, choose, sampled, held).replay()
        else:
            self._work(forward, choose, sampled, held)

    def prepare(self, forward: bool, choose: bool, sampled: bool, held: bool) -> Any:
        """The graph of `run`; ids, positions and logits stay as they are, the random state does not."""
        key = (forward, choose, sampled, held)
        if key not in self.graphs:
            self.graphs[key] = self._captured(lambda: self._work(*key))
        return self.graphs[key]

    def _work(self, forward: bool, choose: bool, sampled: bool, held: bool) -> None:
        if forward:
            self.forward()
        if choose:
            self.choose(sampled, held)

    def _captured(self, work: Callable[[], None]) -> Any:
        """A CUDA graph of `work`, whose state is as it was before: what it writes meanwhile goes to spare places."""
        import torch

        kept = [tensor.clone() for tensor in (self.ids, self.positions, self.logits)]
        self.positions.fill_(self.capacity - 1)  # the last place of a row is no text's (see `slots`)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # kernels compile and cuBLAS takes its workspace outside the graph
            work()
            self.positions.fill_(self.capacity - 1)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            work()
        self.pool = self.pool or graph.pool()
        for tensor, old in zip((self.ids, self.positions, self.logits), kept, strict=True):
            tensor.copy_(old)
        return graph


def likeliest(logits: Any) -> Any:
    """The first of the largest (n,) of logits (n, vocab), in parts: one row keeps all of a GPU busy, not one block."""
    parts = math.gcd(logits.shape[1], PARTS)
    best, places = logits.view(len(logits), parts, -1).max(-1)
    part = best.argmax(-1, keepdim=True)
    return (part * (logits.shape[1] // parts) + places.gather(1, part))[:, 0]


def cache_bytes(weights: Weights, rows: int, capacity: int) -> int:
    """What a Decoder takes of the device's memory beside the weights and the work of a step."""
    size = int(weights.embedding.element_size())
    vocab = int(weights.embedding.shape[0])
    return 2 * len(weights.layers) * rows * capacity * weights.groups * weights.dim * size + rows * vocab * 20
