"""Nothing in; the Triton kernels of a decoding step out, and one of training, by name (`make`)."""

from __future__ import annotations

from typing import Any

tl: Any = None  # triton.language, once `make` has run: the kernels look it up here


def make() -> dict[str, Any]:
    """Load Triton and define the kernels; each compiles when it is first called."""
    global tl
    import triton
    import triton.language

    tl = triton.language
    kernels = (_norm, _glu, _glu_backward, _attend, _combine, _row)
    return {kernel.__name__[1:]: triton.jit(kernel) for kernel in kernels}


# mypy: ignore-errors


def _norm(x, weight, out, width, eps, BLOCK: tl.constexpr):
    """One row a program: x / rms(x) * weight, rounded in between as transformers does."""
    row, at = tl.program_id(0), tl.arange(0, BLOCK)
    there = at < width
    kind = out.dtype.element_ty
    xs = tl.load(x + row * width + at, mask=there, other=0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(xs * xs, 0) / width + eps)
    ws = tl.load(weight + at, mask=there, other=0).to(tl.float32)
    tl.store(out + row * width + at, ((xs * scale).to(kind).to(tl.float32) * ws).to(kind), mask=there)


def _glu(x, out, width, BLOCK: tl.constexpr):
    """silu(gate) * up for BLOCK columns of one row."""
    row, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = at < width
    kind = out.dtype.element_ty
    gate = tl.load(x + row * 2 * width + at, mask=there, other=0).to(tl.float32)
    up = tl.load(x + row * 2 * width + width + at, mask=there, other=0).to(tl.float32)
    tl.store(out + row * width + at, ((gate / (1 + tl.exp(-gate))).to(kind).to(tl.float32) * up).to(kind), mask=there)


def _glu_backward(x, slope, out, width, BLOCK: tl.constexpr):
    """The gradient of BLOCK columns of one row of gate, and of the same of up."""
    row, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = at < width
    kind = out.dtype.element_ty
    gate = tl.load(x + row * 2 * width + at, mask=there, other=0).to(tl.float32)
    up = tl.load(x + row * 2 * width + width + at, mask=there, other=0).to(tl.float32)
    by = tl.load(slope + row * width + at, mask=there, other=0).to(tl.float32)
    open = 1 / (1 + tl.exp(-gate))
    tl.store(out + row * 2 * width + at, (by * up * open * (1 + gate * (1 - open))).to(kind), mask=there)
    tl.store(out + row * 2 * width + width + at, (by * gate * open).to(kind), mask=there)


def _attend(
    qkv, keys, values, positions, cos, sin, part, peak, mass, capacity, scale,
    HEADS: tl.constexpr, GROUPS: tl.constexpr, DIM: tl.constexpr, CUTS: tl.constexpr,
    TILE: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """The heads of one group of one row over one span of its cache: unscaled sums, their largest score and mass.

    The program whose span holds the new token turns its key and writes both into the cache.
    """
    row, group, cut = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    at = tl.load(positions + row).to(tl.int32)
    span = tl.cdiv(tl.cdiv(at + 1, CUTS), TILE) * TILE
    first = cut * span
    last = tl.minimum(first + span, at)  # of the old tokens
    kind = keys.dtype.element_ty
    d, h = tl.arange(0, DIM), tl.arange(0, WIDE)
    half = (d + DIM // 2) % DIM
    c = tl.load(cos + at * DIM + d).to(tl.float32)
    s = tl.load(sin + at * DIM + d).to(tl.float32) * tl.where(d < DIM // 2, -1.0, 1.0)
    line = qkv + row * ((HEADS + 2 * GROUPS) * DIM)
    head = group * (HEADS // GROUPS) + h
    mine = (h < HEADS // GROUPS)[:, None]
    q = tl.load(line + head[:, None] * DIM + d[None, :], mask=mine, other=0).to(tl.float32)
    q2 = tl.load(line + head[:, None] * DIM + half[None, :], mask=mine, other=0).to(tl.float32)
    q = ((q * c[None, :]).to(kind).to(tl.float32) + (q2 * s[None, :]).to(kind).to(tl.float32)).to(kind)
    k = tl.load(line + (HEADS + group) * DIM + d).to(tl.float32)
    k2 = tl.load(line + (HEADS + group) * DIM + half).to(tl.float32)
    k = ((k * c).to(kind).to(tl.float32) + (k2 * s).to(kind).to(tl.float32)).to(kind)
    v = tl.load(line + (HEADS + GROUPS + group) * DIM + d)
    store = (row * GROUPS + group).to(tl.int64) * capacity * DIM
    place = at + 0 * d
    own = (place >= first) & (place < first + span)  # (DIM,), all alike
    tl.store(keys + store + place * DIM + d, k, mask=own)
    tl.store(values + store + place * DIM + d, v, mask=own)
    place = at + 0 * h
    owner = (place >= first) & (place < first + span)  # (WIDE,), all alike
    score = tl.sum(q.to(tl.float32) * k.to(tl.float32)[None, :], 1) * scale
    top = tl.where(owner, score, -1e30)
    total = tl.where(owner, 1.0, 0.0)
    acc = tl.where(own, v.to(tl.float32), 0.0)[None, :] + tl.zeros((WIDE, DIM), tl.float32)
    for start in range(first, last, TILE):
        t = start + tl.arange(0, TILE)
        old = t < last
        spots = store + t[:, None] * DIM + d[None, :]
        ks = tl.load(keys + spots, mask=old[:, None], other=0)
        vs = tl.load(values + spots, mask=old[:, None], other=0)
        scores = tl.where(old[None, :], tl.dot(q, tl.trans(ks)) * scale, -1e30)
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.where(old[None, :], tl.exp(scores - higher[:, None]), 0.0)
        fade = tl.exp(top - higher)
        total = total * fade + tl.sum(weights, 1)
        acc = acc * fade[:, None] + tl.dot(weights.to(kind), vs)
        top = higher
    slot = (row * HEADS + head) * CUTS + cut
    tl.store(part + slot[:, None] * DIM + d[None, :], acc, mask=mine)
    tl.store(peak + slot, top, mask=h < HEADS // GROUPS)
    tl.store(mass + slot, total, mask=h < HEADS // GROUPS)


def _combine(part, peak, mass, out, CUTS: tl.constexpr, DIM: tl.constexpr):
    """One head of one row: the spans put together."""
    head = tl.program_id(0)
    cut, d = tl.arange(0, CUTS), tl.arange(0, DIM)
    tops = tl.load(peak + head * CUTS + cut)
    shares = tl.exp(tops - tl.max(tops, 0))
    total = tl.sum(shares * tl.load(mass + head * CUTS + cut), 0)
    sums = tl.load(part + (head * CUTS + cut)[:, None] * DIM + d[None, :])
    tl.store(out + head * DIM + d, (tl.sum(sums * shares[:, None], 0) / total).to(out.dtype.element_ty))


def _row(
    x, weight, bias, norm, out, rows, width, eps,
    NORMED: tl.constexpr, BIASED: tl.constexpr, ADDED: tl.constexpr, GATED: tl.constexpr,
    BLOCK: tl.constexpr, CHUNK: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """One row x (width,) times BLOCK rows of a weight (rows, width), with all that stands before and after it.

    NORMED: the norm of x before; ADDED: to what is in `out`; GATED: the weight has 2 rows of them, gates before. All
    of a weight is read once, and a program asks for its whole share of it at once.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = n < rows
    kind = out.dtype.element_ty
    line = weight + n.to(tl.int64) * width
    line2 = line + rows.to(tl.int64) * width
    scale = 1.0
    if NORMED:
        at = tl.arange(0, WIDE)
        whole = tl.load(x + at, mask=at < width, other=0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(whole * whole, 0) / width + eps)
    sums = tl.zeros((BLOCK, CHUNK), tl.float32)
    sums2 = tl.zeros((BLOCK, CHUNK), tl.float32)
    for start in tl.static_range(0, WIDE, CHUNK):
        at = start + tl.arange(0, CHUNK)
        inside = at < width
        both = there[:, None] & inside[None, :]
        w = tl.load(line[:, None] + at[None, :], mask=both, other=0, eviction_policy="evict_first")
        if GATED:
            w2 = tl.load(line2[:, None] + at[None, :], mask=both, other=0, eviction_policy="evict_first")
        xs = tl.load(x + at, mask=inside, other=0).to(tl.float32)
        if NORMED:
            ws = tl.load(norm + at, mask=inside, other=0).to(tl.float32)
            xs = ((xs * scale).to(kind).to(tl.float32) * ws).to(kind).to(tl.float32)
        sums += w.to(tl.float32) * xs[None, :]
        if GATED:
            sums2 += w2.to(tl.float32) * xs[None, :]
    y = tl.sum(sums, 1)
    if BIASED:
        y += tl.load(bias + n, mask=there, other=0).to(tl.float32)
    if GATED:
        up = tl.sum(sums2, 1)
        if BIASED:
            up += tl.load(bias + rows + n, mask=there, other=0).to(tl.float32)
        gate = y.to(kind).to(tl.float32)
        y = (gate / (1 + tl.exp(-gate))).to(kind).to(tl.float32) * up.to(kind).to(tl.float32)
    if ADDED:
        y += tl.load(out + n, mask=there, other=0).to(tl.float32)
    tl.store(out + n, y.to(kind), mask=there)
