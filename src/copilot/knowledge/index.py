"""Chunks and an embedder in; a folder of vectors, words, chunks and manifest out; cosines and other scores from it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from copilot.errors import CopilotError, StaleError
from copilot.knowledge.late import FILES as LATE
from copilot.knowledge.late import Tokens, late_encoder
from copilot.knowledge.lexical import Lexical
from copilot.runs import read_manifest, sha256_file, swapped_folder
from copilot.types import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from copilot.knowledge.embeddings import Embedder

FORMAT = 3
FILES = ("chunks.jsonl", "index.faiss", "lexical.npz")


class Index:
    """Chunks, their L2-normalised vectors, whose inner product is the cosine, and the words of their passages."""

    def __init__(self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", tokens: Tokens | None = None) -> None:
        """`vectors` is (n, dim), one row per chunk; `tokens` are those of each passage's tokens."""
        import faiss

        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks, {len(vectors)} vectors")
        self.chunks = tuple(chunks)
        self.store: Any = faiss.IndexFlatIP(vectors.shape[1])
        self.store.add(np.ascontiguousarray(_unit(vectors)))
        self.lexical = Lexical(self.passages())
        self.tokens = tokens

    def passages(self) -> list[str]:
        """Those of all chunks."""
        return [chunk.passage for chunk in self.chunks]

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.store.d)

    @classmethod
    def build(
        cls, chunks: Iterable[Chunk], embeddings: "Embedder", batch: int, step: Callable[[int], None] = lambda n: None
    ) -> "Index":
        """Embed every chunk's passage; `step(n)` is told of n more done."""
        rows = list(chunks)
        if not rows:
            raise CopilotError("the documents yield no chunks", "check `documents.paths` and `documents.include`")
        vectors: list[list[float]] = []
        tokens: list[NDArray[np.int8]] = []
        for at in range(0, len(rows), batch):
            texts = [chunk.passage for chunk in rows[at : at + batch]]
            if late := late_encoder(embeddings):
                for vector, own in late.encode_documents(texts):
                    vectors.append(vector)
                    tokens.append(own)
            else:
                vectors += embeddings.embed_documents(texts)
            step(len(texts))
        return cls(rows, np.asarray(vectors, dtype=np.float32), Tokens.of(tokens) if tokens else None)

    def cosines(self, vector: Sequence[float]) -> "NDArray[np.float32]":
        """The cosine of a question's vector with each chunk's, (chunks,), in [-1, 1]."""
        query = _unit(np.asarray([vector], dtype=np.float32))
        if query.shape[1] != self.dimension:
            raise StaleError(
                f"the embedder gives {query.shape[1]} numbers, the index holds {self.dimension}",
                "run copilot index --force",
            )
        scores, rows = self.store.search(query, len(self.chunks))
        found: NDArray[np.float32] = np.zeros(len(self.chunks), dtype=np.float32)
        found[rows[0]] = np.clip(scores[0], -1, 1)
        return found

    def save(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Write the folder in one swap; on failure what stood there stays."""
        import faiss

        counts = {"format": FORMAT, "dimension": self.dimension, "chunks": len(self.chunks)}
        whole = {**manifest, **counts}  # swapped_folder writes it at the end, with what is added until then
        with swapped_folder(folder, whole) as fresh:
            lines = "".join(json.dumps(asdict(chunk), ensure_ascii=False) + "\n" for chunk in self.chunks)
            (fresh / "chunks.jsonl").write_text(lines, encoding="utf-8")
            (fresh / "index.faiss").write_bytes(faiss.serialize_index(self.store).tobytes())
            (fresh / "lexical.npz").write_bytes(self.lexical.to_bytes())
            if self.tokens:
                self.tokens.save(fresh)
            whole["sha256"] = {file.name: sha256_file(file) for file in sorted(fresh.iterdir())}

    @classmethod
    def load(cls, folder: Path, remedy: str) -> tuple["Index", dict[str, Any]]:
        """Index and manifest. Raises StaleError with `remedy` when it is missing, damaged or of another version."""
        import faiss

        manifest = read_manifest(folder)
        if manifest is None:
            raise StaleError(f"no index at {folder}", remedy)
        if manifest.get("format") != FORMAT:
            raise StaleError(f"{folder} was written by another version", f"{remedy} --force")
        sums = manifest.get("sha256", {})
        late = LATE if LATE[0] in sums else ()
        data = {name: (folder / name).read_bytes() if (folder / name).is_file() else b"" for name in FILES}
        found = {name: hashlib.sha256(content).hexdigest() for name, content in data.items()}
        tokens = Tokens.load(folder) if late else None
        found |= {name: sha256_file(folder / name) if (folder / name).is_file() else "" for name in late}
        for name, sha256 in found.items():
            if sha256 != sums.get(name):
                if read_manifest(folder) != manifest:  # swapped for a new one while it was read
                    return cls.load(folder, remedy)
                raise StaleError(f"{folder / name} is damaged", f"{remedy} --force")
        index = cls.__new__(cls)
        lines = data["chunks.jsonl"].decode("utf-8").rstrip("\n").split("\n")
        index.chunks = tuple(Chunk(**json.loads(line)) for line in lines)
        index.store = faiss.deserialize_index(np.frombuffer(data["index.faiss"], dtype=np.uint8))
        index.lexical = Lexical.from_bytes(data["lexical.npz"])
        index.tokens = tokens
        return index, manifest


def _unit(vectors: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Rows of length 1, (n, dim); a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit
