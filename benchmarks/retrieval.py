"""A configuration in; how well each way to search finds the gold sections of two sets of questions, out.

    python benchmarks/retrieval.py [configs/tiny.yaml] [--sweep]

Embeds the knowledge base (a minute on a CPU) and asks the held-out questions and the training rows that name their
section (`source`). Nothing here may be chosen on the held-out questions: `--sweep` shows the weight of the cosine in a
hybrid on the training rows first. `late` is the product's hybrid with late interaction, where the embedder gives tokens
vectors, `reranked` that with the hits read by the reranker, and `as served` that with the passages of the best entry
first. A change beside `dense` is a mean of paired differences with its 95 % bootstrap interval (1000 resamples).
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from copilot.answering.ranking import focused
from copilot.config_file import load_config
from copilot.evaluation.metrics import ndcg_at_k, recall_at_k, reciprocal_rank
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.reranker import open_reranker
from copilot.knowledge.retriever import WEIGHTS, IndexRetriever, Retrieve, ranked
from copilot.model.load import quiet_libraries
from copilot.types import Chunk, Hit

NAMES = ("MRR", "first", "recall@5", "nDCG@5")
Gold = list[tuple[str, str]]
Scores = list[tuple[np.ndarray, np.ndarray]]  # cosines and BM25 of each question, (chunks,) each
Rank = Callable[[np.ndarray, np.ndarray], np.ndarray]  # they in, rows of the chunks, best first, out


def questions(path: Path) -> list[tuple[str, Gold]]:
    """(question, gold sections) of the rows that have some."""
    found = []
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        given = row.get("gold") or row.get("source") or []
        given = given if isinstance(given, list) else [given]
        if given and "audience" not in row:  # those are the same questions again
            found.append((row["question"], [(g["document"], g["heading"]) for g in given]))
    return found


def weighed(weight: float) -> Rank:
    """The product's own ranking, with the cosine weighing so much."""
    return lambda cosines, lexical: ranked(cosines, lexical, weight)


def reciprocal_ranks(c: float) -> Rank:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009); BM25 ranks what shares a word alone."""

    def rank(cosines: np.ndarray, lexical: np.ndarray) -> np.ndarray:
        places = [np.argsort(np.argsort(-scores, kind="stable"), kind="stable") + 1 for scores in (cosines, lexical)]
        return np.argsort(-(1 / (c + places[0]) + (lexical > 0) / (c + places[1])), kind="stable")

    return rank


def by_scores(scores: Scores, chunks: Sequence[Chunk], rows: list[tuple[str, Gold]], rank: Rank) -> Retrieve:
    """What finds the first five by `rank`."""
    known = dict(zip([question for question, _ in rows], scores, strict=True))
    return lambda question: [Hit(chunks[row], 0.0) for row in rank(*known[question])[:5]]


def measured(rows: list[tuple[str, Gold]], retrieve: Retrieve) -> np.ndarray:
    """NAMES for each question, (questions, 4)."""
    figures = []
    for question, gold in rows:
        found = retrieve(question)
        hits = [(hit.chunk.document, hit.chunk.heading) for hit in found]
        reciprocal = reciprocal_rank(hits, gold) or 0.0
        figures.append((reciprocal, float(reciprocal == 1), recall_at_k(hits, gold), ndcg_at_k(hits, gold)))
    return np.array(figures, dtype=np.float64)


def interval(values: np.ndarray) -> str:
    """Mean and 95 % bootstrap interval, signed."""
    draws = np.random.default_rng(0).integers(0, len(values), size=(1000, len(values)))
    low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Print one table a set of questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="configs/tiny.yaml")
    parser.add_argument("--sweep", action="store_true", help="also other weights of the cosine")
    given = parser.parse_args()
    config = load_config(given.config)
    quiet_libraries()
    chunks = [c for document in load_documents(config.documents) for c in split(document, config.chunks)]
    embeddings = load_embeddings(config.embeddings)
    index = Index.build(chunks, embeddings, config.embeddings.batch_size)
    data = Path(config.evaluation.questions).parent.parent / "sft/train.jsonl"
    ways = {"dense": weighed(1), "lexical": weighed(0)} | {f"rrf {c}": reciprocal_ranks(c) for c in (10, 60)}
    ways[f"hybrid {WEIGHTS['hybrid']:.2f}"] = weighed(WEIGHTS["hybrid"])
    if given.sweep:
        ways |= {f"hybrid {weight:.2f}": weighed(weight) for weight in np.arange(0.4, 0.95, 0.05)}
    for name, path in (("training rows", data), ("held-out questions", Path(config.evaluation.questions))):
        rows = questions(path)
        section = config.retriever.model_copy(update={"k": 5, "mode": "hybrid"})
        late = IndexRetriever(index, embeddings, section)
        late.embed([question for question, _ in rows], config.embeddings.batch_size)
        scores = [(index.cosines(late.known[q][0]), index.lexical.scores(q)) for q, _ in rows]
        print(f"\n{name}: {len(rows)} with gold of {path.name}, {len(chunks)} chunks, the first five")
        print(f"{'search':<12}" + "".join(f"{n:>10}" for n in NAMES) + "   MRR beside dense")
        found = {label: measured(rows, by_scores(scores, chunks, rows, rank)) for label, rank in ways.items()}
        found["late"] = measured(rows, late)
        served = replace(late, reranker=open_reranker(section.reranker))
        if served.reranker:
            found["reranked"] = measured(rows, served)
        found["as served"] = measured(rows, replace(served, order=focused))
        for label, figures in found.items():
            line = f"{label:<12}" + "".join(f"{value:>10.3f}" for value in figures.mean(0))
            print(f"{line}   {interval(figures[:, 0] - found['dense'][:, 0])}")


if __name__ == "__main__":
    main()
