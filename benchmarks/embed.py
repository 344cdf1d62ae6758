"""The chunks of data/knowledge_base in; chunks per second of our embedder and of LangChain's, and their cosine, out.

    python benchmarks/embed.py [--rounds 3]

Both embed the same passages with the same all-MiniLM-L6-v2 folder (the `offline` extra) on the CPU, in turns, in
one process; the best round of each counts. A passage longer than the model's 256 tokens is embedded whole by ours,
in windows, and cut by sentence-transformers, so the two are also compared on the passages that fit.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from copilot.config import Chunks, Documents, Embeddings
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.minilm import MiniLM, offline_folder
from copilot.model.load import quiet_libraries

ROOT = Path(__file__).resolve().parents[1]


def passages() -> list[str]:
    """What `copilot index` embeds."""
    documents = load_documents(Documents(paths=[str(ROOT / "data/knowledge_base")]))
    return [chunk.passage for document in documents for chunk in split(document, Chunks())]


def timed(embed: Callable[[list[str]], list[list[float]]], texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds, and the vectors (n, dim)."""
    began = time.perf_counter()
    vectors = embed(texts)
    return time.perf_counter() - began, np.asarray(vectors)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="times that each embeds everything; the best one counts")
    rounds = parser.parse_args().rounds
    quiet_libraries()
    import torch
    from langchain_huggingface import HuggingFaceEmbeddings

    config = Embeddings(model="offline:all-MiniLM-L6-v2")
    folder, texts = offline_folder(config.name), passages()
    ours = load_embeddings(config)
    assert isinstance(ours, MiniLM)
    options = {"normalize_embeddings": True, "batch_size": config.batch_size}
    theirs = HuggingFaceEmbeddings(model_name=str(folder), model_kwargs={"device": "cpu"}, encode_kwargs=options)
    ours.embed_documents(texts[:8]), theirs.embed_documents(texts[:8])  # warm up
    seconds: dict[str, list[float]] = {"ours": [], "langchain": []}
    for _ in range(rounds):
        spent, a = timed(ours.embed_documents, texts)
        seconds["ours"].append(spent)
        spent, b = timed(theirs.embed_documents, texts)
        seconds["langchain"].append(spent)
    rate = {name: len(texts) / min(spent) for name, spent in seconds.items()}
    cosine = (a * b).sum(1)
    fits = np.array([len(ours.tokenizer.encode(text).ids) <= ours.max_tokens for text in texts])
    print(f"{len(texts)} chunks, {torch.get_num_threads()} threads, best of {rounds} rounds")
    print(f"ours (offline:all-MiniLM-L6-v2)         {rate['ours']:8.1f} chunks/s")
    print(f"langchain_huggingface, same folder      {rate['langchain']:8.1f} chunks/s")
    print(f"ratio ours / langchain                  {rate['ours'] / rate['langchain']:8.2f}")
    print(f"mean cosine, all chunks                 {cosine.mean():8.4f}")
    print(f"mean cosine, {fits.sum():3d} that fit 256 tokens    {cosine[fits].mean():8.4f}")


if __name__ == "__main__":
    main()
