"""A Config in; for each stage the fingerprint of what makes it, where its result stands, and whether it still fits."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from copilot.config import Config
from copilot.errors import CopilotError, StaleError
from copilot.knowledge.documents import find_files
from copilot.runs import fingerprint, read_manifest, sha256_file

STAGES = ("index", "train", "evaluate", "demo")
_WITHOUT_EFFECT = {"data", "adapter_from", "save_steps", "save_total_limit", "report_to"}  # data counts by its content

_HOW_REACHED = {"name", "endpoint", "api_version", "api_key", "runtime"}  # of `model`; the name counts by what it names


@dataclass(frozen=True, slots=True)
class Work:
    """What each stage is made from, and so whether what stands on the disk is still right."""

    config: Config
    flags: str = ""  # -c, --set and --output-dir as given, for the commands that errors name

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that this configuration has: a remote model is not trained, and no model neither."""
        return tuple(stage for stage in STAGES if stage != "train" or self.config.model.trainable)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.config.run_dir

    @property
    def lender(self) -> str | None:
        """The other run whose adapter answers here; None when this run has its own, or a remote model."""
        name = self.config.train.adapter_from
        return None if name == self.config.run.name or self.config.model.provider else name

    @property
    def shipped_floor(self) -> Path | None:
        """Where the embeddings' adapter, or the reranker, may bring what tells questions without an answer.

        None without an adapter.
        """
        adapter = self.config.embeddings.adapter and (self.config.retriever.reranker or self.config.embeddings.adapter)
        return Path(adapter) / "abstention.json" if adapter else None

    def command(self, name: str) -> str:
        """What to type to make a stage."""
        if name in ("train", "export") and self.lender:
            return f"copilot {name} with the configuration of run {self.lender}"
        return f"copilot {name if name in ('index', 'train', 'export') else f'pipeline --only {name}'}{self.flags}"

    def files(self) -> dict[str, str]:
        """Document path → sha256 of every file of the knowledge base."""
        return {name: file_sha256(path) for name, path in find_files(self.config.documents)}

    def base(self) -> str:
        """What the base model is: a hub name, a remote one with the endpoint that the YAML gives it, or the fingerprint
        of a folder's files, wherever the folder stands."""
        if self.config.model.provider:
            return f"{self.config.model.name} {self.config.model.endpoint or ''}".rstrip()
        folder = Path(self.config.model.name)
        if not folder.is_dir():
            return self.config.model.name
        files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".model"))
        return fingerprint("base-1", [(p.name, file_sha256(p)) for p in files])

    def recipe(self) -> str:
        """Fingerprint of what makes an adapter besides the index: rows, prompt, base model, settings."""
        config = self.config
        parts = [config.prompt.model_dump(), config.model.model_dump(exclude=_HOW_REACHED)]
        parts.append(config.train.model_dump(exclude=_WITHOUT_EFFECT))
        data, sections = _sha_or_none(config.train.data), config.answer.sections
        return fingerprint("train-13", data, self.base(), parts, sections, self._retriever(), config.seed)

    def _retriever(self) -> dict[str, Any]:
        """The retriever's settings; the reranker counts by its content."""
        reranker = self.config.retriever.reranker
        content = {"reranker": _adapter_files(reranker)} if reranker else {}
        return self.config.retriever.model_dump(exclude={"reranker"}) | content

    def key(self, stage: str) -> str:
        """Fingerprint of everything that makes a stage's result, or `abstention.json`, the earlier stages included."""
        config = self.config
        match stage:
            case "index":
                embedder = config.embeddings.model_dump(include={"model", "endpoint"})
                if config.embeddings.adapter:
                    embedder["adapter"] = _adapter_files(config.embeddings.adapter)
                return fingerprint("index-11", list(self.files().items()), config.chunks.model_dump(), embedder)
            case "train" if config.model.extractive:
                return fingerprint("extractive-15", self.key("index"), self._retriever())
            case "train":
                return fingerprint(self.key("index"), self._lent() if self.lender else self.recipe())
            case "abstention":
                rows = [_sha_or_none(path) for path in (config.train.data, *config.answer.abstain_rows)]
                shipped = _sha_or_none(str(self.shipped_floor)) if self.shipped_floor else None
                reread = [self._retriever()] if config.retriever.reranker else []
                return fingerprint("abstention-11", self.key("index"), rows, shipped, *reread)
            case "evaluate":
                sha, limit = _sha_or_none(config.evaluation.questions), config.evaluation.limit
                return fingerprint("evaluate-18", self.key("train"), self._answer(), sha, limit)
            case _:
                return fingerprint("demo-17", self.key("train"), self._answer(), config.demo.questions)

    def _answer(self) -> list[Any]:
        """What makes an answer of what the model was taught; rows count by their content."""
        return [self.config.answer.model_dump(exclude={"abstain_rows"}), self.key("abstention")]

    def artefact(self, stage: str) -> Path:
        """Where a stage leaves its result."""
        names = {"index": "index", "train": "adapter", "export": "onnx", "evaluate": "evaluation.json"}
        lent = stage in ("train", "export") and self.lender
        return (Path(self.config.output_dir) / lent if lent else self.folder) / names.get(stage, "demo.json")

    def found(self, stage: str) -> dict[str, Any] | None:
        """What the stage's result on the disk says of itself; None when there is none.

        Raises StaleError for a broken one.
        """
        if stage not in self.stages:
            return None
        path = self.artefact(stage)
        remedy = f"run {self.command(stage)}"
        try:
            if stage in ("index", "train"):
                found = read_manifest(path)
            else:
                found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
            return None if found is None else {"fingerprint": str(found["fingerprint"]), **found}
        except StaleError as error:
            raise StaleError(error.message, remedy) from None
        except (ValueError, KeyError, TypeError):
            raise StaleError(f"{path} is damaged", remedy) from None

    def state(self, stage: str) -> str:
        """`fresh`, `missing`, or why the result on the disk is stale; a stage that there is not has nothing to do."""
        if stage not in self.stages:
            return "fresh"
        try:
            found = self.found(stage)
        except StaleError as error:
            return f"stale: {error.message}"
        if found is None:
            return "missing"
        if stage == "train" and self.lender:
            return "fresh" if found.get("base") == self.base() else "stale: it was trained on another model"
        if found["fingerprint"] == self.key(stage):
            return "fresh"
        if stage == "index":
            return f"stale: {self._index_change(found)}"
        if stage == "train" and found.get("recipe") != self.recipe():
            return "stale: its settings, rows or base model have changed"
        if stage == "train":
            return "stale: the index has changed"
        earlier, made = ("train", "the adapter has") if "train" in self.stages else ("index", "the index has")
        what = "its questions or settings have" if self.state(earlier) == "fresh" else made
        return f"stale: {what} changed"

    def _lent(self) -> str:
        """Fingerprint of the other run's adapter; "" when there is none to be read."""
        try:
            found = self.found("train")
        except StaleError:
            return ""
        return str(found["fingerprint"]) if found else ""

    def _index_change(self, manifest: dict[str, Any]) -> str:
        before, after = manifest.get("documents", {}), self.files()
        kinds = {
            "new": sorted(after.keys() - before.keys()),
            "gone": sorted(before.keys() - after.keys()),
            "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        }
        more = {kind: " ..." if len(names) > 3 else "" for kind, names in kinds.items()}
        said = [f"{', '.join(names[:3])}{more[kind]} {kind}" for kind, names in kinds.items() if names]
        return "; ".join(said) or "its settings have changed"


def unchanged(before: str, after: str, what: str) -> None:
    """Raise CopilotError when `what` changed between two readings of its fingerprint."""
    if before != after:
        raise CopilotError(f"{what} changed while this ran; nothing was written", "run the same command again")


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file; a file of the same size and time is hashed once."""
    try:
        stat = path.stat()
        return _sha256(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise CopilotError(f"{path}: cannot be read: {error.strerror}", "check its permissions") from None


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime: int) -> str:
    return sha256_file(path)


def _adapter_files(folder: str) -> list[tuple[str, str]]:
    """(name, sha256) of what makes an adapter."""
    return [(file.name, file_sha256(file)) for file in sorted(Path(folder).glob("adapter_*"))]


def _sha_or_none(path: str) -> str | None:
    return file_sha256(Path(path)) if Path(path).is_file() else None
