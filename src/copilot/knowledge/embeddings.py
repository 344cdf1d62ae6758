"""A config in, an embedder out: Azure OpenAI, OpenAI, a local model, or the packaged MiniLM."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from copilot.config import Embeddings
from copilot.errors import CopilotError, first_line
from copilot.knowledge.minilm import OFFLINE_SHA256, MiniLM, offline_folder
from copilot.provider import REMEDY, client_options, endpoint_of, failures
from copilot.runs import fingerprint, sha256_file


class Client(Protocol):
    """What langchain_core's Embeddings have; that package takes its time to import."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector per text."""
        ...

    def embed_query(self, text: str) -> list[float]:
        """The question's vector."""
        ...


class Embedder(Client, Protocol):
    """What is needed of what turns texts into vectors."""

    fingerprint: str  # of what makes the vectors, as far as this machine can know it

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """One vector per question, as `embed_query` gives them."""
        ...


def load_embeddings(config: Embeddings) -> Embedder:
    """The embedder of the YAML. Raises CopilotError when its package, key or model is missing."""
    match config.provider:
        case "offline":
            return MiniLM(offline_folder(config.name), sha256=OFFLINE_SHA256, adapter=_adapter(config))
        case "huggingface":
            return _local_embedder(hub_folder(config.name), config)
        case _ if config.adapter:
            raise CopilotError(f"embeddings.adapter: {config.model} runs elsewhere", "set embeddings.adapter: null")
        case _:
            return Remote(_client(config), f"{config.model} at {remote_endpoints(config)[0]}", config.model)


def remote_endpoints(config: Embeddings) -> list[str]:
    """What `load_embeddings` and its embedder would contact."""
    match config.provider:
        case "azure_openai" | "openai":
            return [endpoint_of(config.provider, config)]
        case "huggingface" if not Path(config.name).is_dir():
            return [f"https://huggingface.co/{config.name}"]
        case _:
            return []


def _client(config: Embeddings) -> Client:
    """The provider's own client. Texts go as text, not as token ids: any compatible server reads them."""
    options = client_options(config.model, config) | {"check_embedding_ctx_length": False}
    options["chunk_size"] = config.batch_size
    from langchain.embeddings import init_embeddings

    try:
        client: Client = init_embeddings(config.model, **options)
    except Exception as error:  # each provider has its own exceptions for wrong settings
        why = f"cannot open {config.model}: {first_line(error)}"
        raise CopilotError(why, "check the `embeddings` section") from None
    return client


def _adapter(config: Embeddings) -> Path | None:
    return Path(config.adapter) if config.adapter else None


def _local_embedder(folder: Path, config: Embeddings) -> Embedder:
    """A sentence-transformers folder: BERT with mean pooling by our windows, any other by sentence-transformers."""
    if not any(folder.rglob("*.safetensors")):
        raise CopilotError(f"{folder}: no safetensors weights in it", "name a whole sentence-transformers folder")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        modules = [part["type"] for part in json.loads((folder / "modules.json").read_text(encoding="utf-8"))]
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        kind, modules, pooling, limits = "", [], {}, {}
    plain = {name.rpartition(".")[2] for name in modules} <= {"Transformer", "Pooling", "Normalize"}
    if kind == "bert" and plain and pooling.get("pooling_mode_mean_tokens"):
        return MiniLM(folder, int(limits.get("max_seq_length") or 256), adapter=_adapter(config))
    if config.adapter:
        raise CopilotError(f"{folder}: no BERT with mean pooling, so no adapter fits", "set embeddings.adapter: null")
    from langchain_huggingface import HuggingFaceEmbeddings

    class Local(HuggingFaceEmbeddings):
        fingerprint: str

        def embed_queries(self, texts: list[str]) -> list[list[float]]:
            """One vector per question; a model may have a prompt of its own for them."""
            return [self.embed_query(text) for text in texts]

    options = {"normalize_embeddings": True, "batch_size": config.batch_size}
    try:
        return Local(model_name=str(folder), encode_kwargs=options, fingerprint=_weights(folder))
    except Exception as error:  # whatever a folder that is no embedder leads to
        raise CopilotError(f"{folder}: not a sentence-transformers model: {error}", "mend `embeddings.model`") from None


def _weights(folder: Path) -> str:
    """Fingerprint of every file of weights in a folder."""
    return fingerprint("weights-1", [sha256_file(file) for file in sorted(folder.rglob("*.safetensors"))])


class Remote:
    """A provider's own client, its failures as sentences."""

    def __init__(self, client: Client, where: str, fingerprint: str = "remote") -> None:
        self.client, self.where, self.fingerprint = client, where, fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector per text."""
        return self._guard(lambda: self.client.embed_documents(texts), len(texts))

    def embed_query(self, text: str) -> list[float]:
        """The question's vector."""
        return self._guard(lambda: [self.client.embed_query(text)], 1)[0]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """One vector per question, in one request: these providers embed questions as they do documents."""
        return self.embed_documents(texts)

    def _guard(self, call: Callable[[], list[list[float]]], count: int) -> list[list[float]]:
        with failures(self.where, "embeddings"):
            vectors = call()
        if len(vectors) != count:
            raise CopilotError(f"{self.where} gives {len(vectors)} vectors for {count} texts", REMEDY)
        return vectors


def hub_folder(name: str) -> Path:
    """A local folder as it is, else the hub's model, downloaded once. Raises CopilotError when there is no network."""
    if Path(name).is_dir():
        return Path(name)
    from copilot.hub import download

    return download(name, ["*.json", "*.safetensors", "*.txt"])
