"""Prompts in; tokens out, row by row as they come: requests join a free row of the decoder and leave when they end.

The GPU is always given its next work before the host looks at what it wrote. Without a grammar that is a turn of STEPS
tokens; a text that ends within one has a few tokens written after it, which nobody gets. With a grammar it is the
forward pass, during which the host makes the masks for the choice that follows.
Source: Yu et al. 2022 (Orca: iteration-level scheduling).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from copilot.model.graphs import Decoder

STEPS = 4  # tokens of a row between two looks of the host
Piece = tuple[int, list[int], bool]  # request, its next tokens, whether it has ended; stop tokens are left out


class Held(Protocol):
    """What the texts may become, request by request."""

    def take(self, request: int, token: int) -> None:
        """Go on after this token."""
        ...

    def fill(self, rows: Sequence[tuple[int, int]], bits: Any) -> None:
        """For each (request, row): which tokens may come next, as bits of the int32 array (rows, vocab / 32)."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and the most tokens that may follow it."""

    ids: tuple[int, ...]
    room: int


@dataclass(frozen=True, slots=True)
class Choice:
    """How tokens are chosen, and which of them end a text."""

    temperature: float
    seed: int
    stops: frozenset[int]


class Slots:
    """The rows of a decoder, and who is in them."""

    def __init__(self, decoder: Decoder, requests: Sequence[Request], choice: Choice) -> None:
        """Each request must fit the decoder: prompt and room are at most its capacity less one."""
        self.decoder, self.requests, self.choice = decoder, requests, choice
        self.sampled = choice.temperature > 0
        self.waiting = deque(range(len(requests)))
        self.free = list(range(decoder.rows))[::-1]
        self.rows: dict[int, int] = {}  # row → request
        self.left = [request.room for request in requests]  # tokens that each may still get
        self.ahead = list(self.left)  # less what the GPU has been asked for

    def generate(self, held: Held | None = None) -> Iterator[Piece]:
        """The texts as they come. The same seed gives the same tokens, however fast the machine is."""
        import torch

        decoder = self.decoder
        with torch.no_grad():
            decoder.positions.zero_()
            decoder.temperature.fill_(self.choice.temperature or 1.0)
            if decoder.on_gpu:
                for forward, choose in ((True, False), (False, True)) if held else ((True, True),):
                    decoder.prepare(forward, choose, self.sampled, held is not None)
            if self.sampled:
                torch.manual_seed(self.choice.seed)
        turns = self._held(held) if held else self._turns()
        while True:
            with torch.no_grad():  # not while the caller has its turn
                pieces = next(turns, None)
            if pieces is None:
                return
            yield from pieces

    def _turns(self) -> Iterator[list[Piece]]:
        """Turns of up to STEPS tokens, each begun before the one before is looked at."""
        sent: deque[_Sent] = deque()
        while self.waiting or self.rows or sent:
            if self.waiting and self.free:
                joined, logits = self._join()
                tokens = self.decoder.pick(logits, self.sampled)
                for row, token in zip(joined, tokens, strict=True):
                    self.decoder.ids[row].copy_(token)
                sent.append(_Sent([tokens], list(joined), joined))
                self._asked(joined, 1)
            most = max((self.ahead[request] for request in self.rows.values()), default=0)
            if most > 0:
                owners, turn = dict(self.rows), min(STEPS, most)
                sent.append(_Sent(self._steps(turn), list(range(self.decoder.rows)), owners))
                self._asked(owners, turn)
            while len(sent) > (1 if most > 0 else 0):
                yield self._look(sent.popleft())

    def _steps(self, turn: int) -> Iterator[Any]:
        for _ in range(turn):
            self.decoder.run(forward=True, choose=True, sampled=self.sampled)
            yield self.decoder.ids

    def _held(self, held: Held) -> Iterator[list[Piece]]:
        """One token a turn, chosen among those that are allowed."""
        import torch

        decoder = self.decoder
        bits = torch.full(decoder.bits.shape, -1, dtype=torch.int32, pin_memory=decoder.on_gpu)
        sent: _Sent | None = None
        while self.waiting or self.rows:
            if self.rows:
                decoder.run(forward=True, choose=False)
            pieces = self._look(sent) if sent else []  # waits for the last choice alone
            for request, tokens, _ in pieces:
                for token in tokens:
                    held.take(request, token)
            if self.waiting and self.free:
                joined, logits = self._join()
                for row, scores in zip(joined, logits, strict=True):
                    decoder.logits[row].copy_(scores)
                    decoder.positions[row].sub_(1)  # the choice goes one further
            if self.rows:
                owners = dict(self.rows)
                held.fill([(request, row) for row, request in owners.items()], bits.numpy())
                decoder.bits.copy_(bits, non_blocking=True)
                decoder.run(forward=False, choose=True, sampled=self.sampled, held=True)
                sent = _Sent([decoder.ids], list(range(decoder.rows)), owners)
            yield pieces

    def _join(self) -> tuple[dict[int, int], Any]:
        """Waiting requests into free rows: who is where, and the logits after their prompts.

        No list goes to the device once the prompts are being read: the host would wait for that.
        """
        joined: dict[int, int] = {}
        while self.waiting and self.free:
            joined[self.free.pop()] = self.waiting.popleft()
        prompts = [self.requests[request].ids for request in joined.values()]
        logits = self.decoder.read(prompts, list(joined))
        for row, ids in zip(joined, prompts, strict=True):
            self.decoder.positions[row] = len(ids)
        self.rows.update(joined)
        return joined, logits

    def _asked(self, rows: dict[int, int], tokens: int) -> None:
        for request in rows.values():
            self.ahead[request] -= tokens

    def _look(self, sent: "_Sent") -> list[Piece]:
        """What the rows wrote; the row of an ended text is free again."""
        pieces = []
        wrote = sent.read()
        for row, request in sent.owners.items():
            if self.rows.get(row) != request:
                continue  # it had ended before
            tokens: list[int] = []
            ended = False
            for token in wrote[row]:
                ended = token in self.choice.stops
                if not ended:
                    tokens.append(token)
                    self.left[request] -= 1
                    ended = self.left[request] <= 0
                if ended:
                    break
            if ended:
                del self.rows[row]
                self.free.append(row)
                self.decoder.positions[row] = 0  # so that it costs the attention nothing
            pieces.append((request, tokens, ended))
        return pieces


class _Sent:
    """Tokens on their way to the host."""

    def __init__(self, steps: Iterable[Any], rows: Sequence[int], owners: dict[int, int]) -> None:
        """`steps` bring tokens (rows,) on the device one after the other; each is copied before the next."""
        import torch

        self.host, self.rows, self.owners = [], rows, owners
        gpu = False
        for tokens in steps:
            gpu = tokens.is_cuda
            self.host.append(torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=gpu))
            self.host[-1].copy_(tokens, non_blocking=True)
        self.event: Any = torch.cuda.Event() if gpu else None  # type: ignore[no-untyped-call]
        if self.event:
            self.event.record()

    def read(self) -> dict[int, list[int]]:
        """Each row's tokens, once they are here."""
        if self.event:
            self.event.synchronize()
        columns = zip(*(tokens.tolist() for tokens in self.host), strict=True)
        return {row: list(column) for row, column in zip(self.rows, columns, strict=True)}
