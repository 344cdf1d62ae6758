"""A config in, an embedder out: Azure OpenAI, OpenAI, a local model, or the packaged MiniLM."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from copilot.config import Embeddings
from copilot.errors import CopilotError, first_line
from copilot.knowledge.minilm import OFFLINE_SHA256, MiniLM, offline_folder
from copilot.runs import fingerprint, sha256_file

TIMEOUT = 60.0  # s that a provider has to answer one batch; its client tries three times


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
            return MiniLM(offline_folder(config.name), sha256=OFFLINE_SHA256)
        case "huggingface":
            return _local_embedder(hub_folder(config.name), config.batch_size)
        case _:
            return Remote(_client(config), f"{config.model} at {remote_endpoints(config)[0]}", config.model)


def remote_endpoints(config: Embeddings) -> list[str]:
    """What `load_embeddings` and its embedder would contact."""
    match config.provider:
        case "azure_openai":
            return [config.endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT") or "AZURE_OPENAI_ENDPOINT (not set)"]
        case "openai":
            given = [config.endpoint, os.environ.get("OPENAI_API_BASE"), os.environ.get("OPENAI_BASE_URL")]
            return [next((url for url in given if url), "https://api.openai.com/v1")]
        case "huggingface" if not Path(config.name).is_dir():
            return [f"https://huggingface.co/{config.name}"]
        case _:
            return []


def _client(config: Embeddings) -> Client:
    """The provider's own client. Texts go as text, not as token ids: any compatible server reads them."""
    _refuse_missing_settings(config)
    from langchain.embeddings import init_embeddings

    options: dict[str, Any] = {"check_embedding_ctx_length": False, "chunk_size": config.batch_size, "timeout": TIMEOUT}
    if config.api_key is not None:
        options["api_key"] = config.api_key.get_secret_value()
    if config.provider == "azure_openai":
        options["base_url"] = None  # OPENAI_API_BASE is another provider's
        options |= {"azure_endpoint": config.endpoint} if config.endpoint else {}
        options |= {"api_version": config.api_version} if config.api_version else {}
    elif config.endpoint:
        options["base_url"] = config.endpoint
    try:
        client: Client = init_embeddings(config.model, **options)
    except Exception as error:  # each provider has its own exceptions for wrong settings
        why = f"cannot open {config.model}: {first_line(error)}"
        raise CopilotError(why, "check the `embeddings` section") from None
    return client


def _refuse_missing_settings(config: Embeddings) -> None:
    wanted: list[tuple[object, tuple[str, ...]]] = [(config.api_key, ("OPENAI_API_KEY",))]
    if config.provider == "azure_openai":
        keys = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")
        wanted = [(config.api_key, keys), (config.endpoint, ("AZURE_OPENAI_ENDPOINT",))]
    missing = [names[0] for given, names in wanted if not given and not any(os.environ.get(name) for name in names)]
    if missing:
        raise CopilotError(
            f"{config.model} needs {' and '.join(missing)}, which the environment does not hold",
            f"export {' '.join(f'{name}=...' for name in missing)}",
        )


def _local_embedder(folder: Path, batch_size: int) -> Embedder:
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
        return MiniLM(folder, int(limits.get("max_seq_length") or 256))
    from langchain_huggingface import HuggingFaceEmbeddings

    class Local(HuggingFaceEmbeddings):
        fingerprint: str

        def embed_queries(self, texts: list[str]) -> list[list[float]]:
            """One vector per question; a model may have a prompt of its own for them."""
            return [self.embed_query(text) for text in texts]

    options = {"normalize_embeddings": True, "batch_size": batch_size}
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
        import openai

        remedy = "check key, endpoint and deployment name, then run the same command again"
        try:
            vectors = call()
        except openai.APIStatusError as error:
            body = error.body if isinstance(error.body, dict) else {}
            why = str(body.get("message") or error.message).strip().splitlines()[0]
            raise CopilotError(f"{self.where} answers {error.status_code}: {why}", remedy) from None
        except (openai.OpenAIError, ValueError, KeyError, TypeError) as error:
            raise CopilotError(f"{self.where} gives no embeddings: {first_line(error)}", remedy) from None
        if len(vectors) != count:
            raise CopilotError(f"{self.where} gives {len(vectors)} vectors for {count} texts", remedy)
        return vectors


def hub_folder(name: str) -> Path:
    """A local folder as it is, else the hub's model, downloaded once. Raises CopilotError when there is no network."""
    if Path(name).is_dir():
        return Path(name)
    from copilot.hub import download

    return download(name, ["*.json", "*.safetensors", "*.txt"])
