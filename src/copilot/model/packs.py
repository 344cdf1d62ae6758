"""Rows of different lengths in; packs of one fixed size out, each row beside others and none looking at another.

A pack has a static shape, which a compiler and a GPU want, and nearly no padding. Rows are put into bins by best fit
decreasing (Johnson 1974), and so many bins make an optimizer step of about as many rows as the configuration says.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

IGNORED = -100
STRIDE = 128  # sizes are multiples of it
PACK = 512  # tokens that could be read in the time that beginning a pack takes
MEASURED = 64  # steps by which sizes are compared
ROWS = 2000  # or rows
SLACK = (1.0, 1.01, 1.02, 1.03)  # of a step over the mean step


@dataclass(frozen=True, slots=True)
class Shape:
    """What all packs of a training have in common."""

    tokens: int  # of a pack, padding included
    longest: int  # tokens of the longest row, rounded up
    slots: int  # most rows and pieces of padding in a pack


def rounded(tokens: float) -> int:
    """`tokens` up to the next multiple of STRIDE."""
    return -(-int(tokens) // STRIDE) * STRIDE


def fill(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of `lengths` in bins of at most `size` tokens, by best fit decreasing. No length may exceed `size`."""
    bins: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # tokens left and number of each bin, in order
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        at = bisect_left(rooms, (lengths[i], 0))
        if at == len(rooms):
            room, best = size, len(bins)
            bins.append([])
        else:
            room, best = rooms.pop(at)
        bins[best].append(i)
        insort(rooms, (room - lengths[i], best))
    return bins


def steps_of(lengths: Sequence[int], rows_per_step: int, seed: int, most: int) -> list[list[int]]:
    """Indices of the rows of each step of one pass: about `rows_per_step` rows, about as many tokens in each.

    A step is as many bins of at most `most` tokens as are filled best: to cut steps into packs afterwards leaves a
    tenth of them empty. The memory that is free has no say, so that the steps are the same everywhere. The order of
    rows of like length, and of the bins, is drawn with `seed`; their number does not depend on it.
    """
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    count = max(round(len(lengths) / rows_per_step), 1)
    each, size = _bins_of_a_step(lengths, sum(lengths) / count, most)
    bins = fill([lengths[i] for i in order], size)
    random.Random(seed).shuffle(bins)
    steps = max(round(len(bins) / each), 1)
    cuts = [len(bins) * n // steps for n in range(steps + 1)]
    return [[order[i] for bin in bins[start:end] for i in bin] for start, end in pairwise(cuts)]


def _bins_of_a_step(lengths: Sequence[int], tokens: float, most: int) -> tuple[int, int]:
    """(bins, tokens of each) for steps of about `tokens` that read the fewest tokens in all."""
    longest = rounded(max(lengths))
    most = max(rounded(most + 1 - STRIDE), longest)
    some = sorted(lengths)[:: -(-len(lengths) // ROWS)]
    fewest = -(-int(tokens) // most)
    tried = [
        (each, max(rounded(tokens / each * slack), longest)) for each in range(fewest, fewest + 5) for slack in SLACK
    ]
    return min(
        ((each, size) for each, size in tried if size <= most),
        key=lambda pair: len(fill(some, pair[1])) * (pair[1] + PACK),
        default=(fewest, most),
    )


def shape_of(lengths: Sequence[int], steps: Sequence[Sequence[int]], most: int) -> Shape:
    """The shape with at most `most` tokens a pack (more for a longer row) under which all steps read the fewest tokens.

    Packs as tight as the largest step allows would often need one more, nearly empty: rows cannot be cut.
    """
    longest = rounded(max(lengths))
    held = [[lengths[i] for i in step] for step in steps]
    largest, most = max(map(sum, held)), max(rounded(most + 1 - STRIDE), longest)
    fewest = -(-largest // most)
    tightest = max(rounded(largest / (fewest + 1)), longest)
    some = held[:: -(-len(held) // MEASURED)]

    def cost(size: int) -> int:
        return sum(len(fill(step, size)) for step in some) * (size + PACK)

    tokens = min(range(tightest, most + 1, STRIDE), key=cost)
    slots = max(len(bin) for step in held for bin in fill(step, tokens)) + -(-tokens // longest)
    return Shape(tokens, longest, -(-slots // 8) * 8)


def labels_of(ids: Sequence[int], prompt: int) -> list[int]:
    """A row's own tokens where they carry loss, IGNORED for its prompt and a first token, before which is nothing."""
    start = max(prompt, 1)
    return [IGNORED] * start + list(ids[start:])


def lay(rows: Sequence[tuple[Sequence[int], int]], shape: Shape, pad: int) -> dict[str, Any]:
    """One pack of (ids, tokens without loss) as the tensors that the packed forward takes.

    `input_ids`, `position_ids`, `targets` are (1, tokens); `cu_seq_lens_q` and `_k` (slots + 1,) are where each row
    begins and the last ends, padding cut into rows of its own and the slots left over empty. A target is the token
    that follows, or IGNORED; `places` (n,) are those of the tokens that have one.
    """
    import numpy as np
    import torch

    ids, targets = np.full(shape.tokens, pad), np.full(shape.tokens, IGNORED)
    positions, starts = np.arange(shape.tokens), [0]
    for tokens, prompt in rows:
        at, end = starts[-1], starts[-1] + len(tokens)
        ids[at:end] = tokens
        targets[at : end - 1] = labels_of(tokens, prompt)[1:]
        positions[at:end] -= at
        starts.append(end)
    while (at := starts[-1]) < shape.tokens:
        end = min(at + shape.longest, shape.tokens)
        positions[at:end] -= at
        starts.append(end)
    starts += [shape.tokens] * (shape.slots + 1 - len(starts))
    cumulative = torch.tensor(starts, dtype=torch.int32)
    return {
        "input_ids": torch.from_numpy(ids[None]),
        "position_ids": torch.from_numpy(positions[None]),
        "targets": torch.from_numpy(targets[None]),
        "places": torch.from_numpy(np.flatnonzero(targets != IGNORED)),
        "cu_seq_lens_q": cumulative,
        "cu_seq_lens_k": cumulative,
        "max_length_q": shape.longest,
        "max_length_k": shape.longest,
    }


def packs(rows: Sequence[tuple[Sequence[int], int]], shape: Shape, pad: int) -> list[dict[str, Any]]:
    """As many packs of `shape` as the rows need."""
    return [lay([rows[i] for i in bin], shape, pad) for bin in fill([len(ids) for ids, _ in rows], shape.tokens)]
