"""A loaded model in; our own decoding of it out, where the device and the model allow it."""

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from copilot.errors import first_line
from copilot.model.decode_kernels import Ops, compile_kernels, fits_triton, torch_ops, triton_ops
from copilot.model.decode_weights import Unsupported, Weights, fused_bytes, read_weights
from copilot.model.graphs import Decoder, cache_bytes
from copilot.model.memory import free_memory
from copilot.model.slots import Choice, Held, Piece, Request, Slots

SHARE = 0.9  # of the free memory that may be taken


class Engine:
    """A model's fused weights and the decoders that read them, each kept for the next time."""

    def __init__(self, weights: Weights, ops: Ops, length: int) -> None:
        """`length` is the most tokens of a prompt and its answer."""
        self.weights, self.ops, self.length = weights, ops, length
        self.idle: list[Decoder] = []

    def generate(
        self, requests: Sequence[Request], rows: int, choice: Choice, held: Held | None = None
    ) -> Iterator[Piece]:
        """The tokens of every request as they come, up to `rows` requests at a time."""
        if not requests:
            return
        decoder = self._decoder(min(rows, len(requests)), max(len(r.ids) + r.room for r in requests) + 1)
        try:
            yield from Slots(decoder, requests, choice).generate(held)
        finally:
            self.idle.append(decoder)

    def _decoder(self, rows: int, needed: int) -> Decoder:
        """One that is idle and large enough, or a new one: as long as a text may be, as memory allows."""
        rows = 1 << (rows - 1).bit_length()
        for decoder in self.idle:
            if decoder.rows == rows and decoder.capacity >= needed:
                self.idle.remove(decoder)
                return decoder
        self.idle = [decoder for decoder in self.idle if decoder.rows != rows]
        free = free_memory() if self.weights.embedding.is_cuda else None
        capacity = max(needed, self.length + 1)
        while free is not None and cache_bytes(self.weights, rows, capacity) > free * SHARE:
            if capacity > needed:
                capacity = needed
            elif rows > 1:
                rows //= 2
            else:
                break  # the allocation says how much is missing
        return Decoder(self.weights, rows, -(-capacity // 64) * 64, self.ops)


def open_engine(model: Any, length: int, force: bool = False) -> Engine | None:
    """Our own decoding of a model on a GPU; None where transformers' generate is what works.

    `length` is the most tokens of a text. `force` takes a CPU too, in plain torch, which is how the tests see it.
    """
    import torch

    if model.device.type != "cuda" and not force:
        return None
    free = free_memory() if model.device.type == "cuda" else None
    try:
        if free is not None and fused_bytes(model) > free * SHARE:
            return None
        with torch.inference_mode(False), torch.no_grad():
            weights = read_weights(model, length)
    except Unsupported:
        return None
    free = free_memory() if free is not None else None
    if free is not None and cache_bytes(weights, 1, length + 1) > free * SHARE:
        return None
    return Engine(weights, choose_ops(weights), length)


def choose_ops(weights: Weights) -> Ops:
    """Triton's kernels where they fit the device and the model and can be compiled, plain torch where not."""
    kind = weights.embedding.dtype
    if not (weights.embedding.is_cuda and find_spec("triton") and fits_triton(weights.dim, kind)):
        return torch_ops()
    try:
        compile_kernels(weights)
    except Exception as error:  # Triton has no error of its own for a machine without a C compiler, say
        logging.getLogger(__name__).warning("decoding without Triton: %s", first_line(error))
        return torch_ops()
    return triton_ops()
