"""A question and passages in; how likely each passage answers it, in log odds, out: a cross-encoder.

Vectors are made before the question is known. This reads the question with each passage, so that it sees which of two
neighbours is meant and what a passage does not tell; it takes 40 ms a passage on two cores, so only hits are read.
Source: Nogueira and Cho 2019, Passage Re-ranking with BERT.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from copilot.errors import CopilotError
from copilot.knowledge.minilm import OFFLINE, OFFLINE_SHA256, adapter_fingerprint, offline_folder, open_tokenizer
from copilot.knowledge.onnx_encoder import HEAD, encoder_folder, open_encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED, READ = 96, 352  # tokens of a question, and of question and passage together, at most: as it was taught
LIMIT = 8.0  # of the log odds: beyond it they say no more
REMEMBERED = 5000  # pairs


class Reranker:
    """The packaged MiniLM with a PEFT folder merged into it, and a head that says how likely a passage answers."""

    def __init__(self, adapter: Path) -> None:
        """Raises CopilotError where the folder is none for it, or the `offline` extra is missing."""
        if not (adapter / HEAD).is_file():
            raise CopilotError(f"{adapter}: no {HEAD} in it", "mend `retriever.reranker`")
        folder, tuned = offline_folder(OFFLINE), adapter_fingerprint(adapter, "retriever.reranker")
        self.tokenizer, _ = open_tokenizer(folder)
        self.weights = encoder_folder(folder, OFFLINE_SHA256, adapter, tuned, judges=True)
        self.session: Any = None  # opened with the first question
        self.known: dict[tuple[str, str], float] = {}  # a floor, training and evaluation ask the same questions

    def logits(self, question: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        """The log odds that each passage answers, (passages,), within LIMIT; 0 is as likely as not."""
        return np.array([self._logit(question, passage) for passage in passages], dtype=np.float32)

    def is_word(self, word: str) -> bool:
        """Whether the model has seen it often enough to read it whole: most words of English are, no slips are."""
        return self.tokenizer.token_to_id(word) is not None

    def _logit(self, question: str, passage: str) -> float:
        pair = question, passage
        if pair not in self.known:
            if len(self.known) >= REMEMBERED:
                del self.known[next(iter(self.known))]
            if self.session is None:
                self.session = open_encoder(self.weights, many=True)
            first, *asked, end = self.tokenizer.encode(question).ids
            head = [first, *asked[:ASKED], end]
            tail = [*self.tokenizer.encode(passage).ids[1:-1][: READ - len(head) - 1], end]
            kinds = [0] * len(head) + [1] * len(tail)
            given = {"ids": np.array([head + tail], dtype=np.int64), "kinds": np.array([kinds], dtype=np.int64)}
            self.known[pair] = float(np.clip(self.session.run(None, given)[0][0], -LIMIT, LIMIT))
        return self.known[pair]


@lru_cache(maxsize=2)
def open_reranker(adapter: str | None) -> Reranker | None:
    """The reranker of `retriever.reranker`, one for all stages of a process; None for none."""
    return Reranker(Path(adapter)) if adapter else None
