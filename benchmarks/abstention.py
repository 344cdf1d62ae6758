"""A configuration in; how well each signal tells questions that the documents do not answer, and all together, out.

    python benchmarks/abstention.py [configs/tiny.yaml]

Three kinds of questions without an answer stand beside those with one: near misses (the product is documented, that
thing is not), everyday questions, and answerable rows whose own sections are taken out of the index: these cost
no rows. `trained` is a logistic model of all signals, each row measured by a model that has not seen its document.
Nothing may be chosen on the held-out questions: for each signal the value is learnt below which 6 % of the answerable
training rows fall, and the last columns say whom it refuses. Takes 2 minutes on a CPU.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from copilot.abstention import evidence, labelled
from copilot.answering.abstained import sentences
from copilot.answering.floor import WRONGLY, learn
from copilot.config import Config
from copilot.config_file import load_config
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import load_documents
from copilot.knowledge.embeddings import Embedder, load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.late import late_encoder
from copilot.knowledge.lexical import terms
from copilot.knowledge.reranker import Reranker, open_reranker
from copilot.knowledge.retriever import REREAD, WEIGHTS, IndexRetriever, ranked
from copilot.model.dataset import read_questions
from copilot.model.load import quiet_libraries
from copilot.types import Hit
from copilot.work import Work

OFF_TOPIC = Path(__file__).resolve().parents[1] / "data/sft/off_topic.jsonl"
QUESTIONS = OFF_TOPIC.parents[2] / "tools/embedder/questions.jsonl"
KINDS = ("answerable", "near", "removed", "everyday")
SIGNALS = {
    "cosine": "of the nearest passage",
    "lead": "of that cosine over the next section's",
    "sentence": "highest cosine of a sentence of the five hits",
    "title": "highest cosine of a heading of the five hits",
    "words": "share of the question's words that the documents hold, by rarity",
    "section": "the same, of the first hit's section alone",
    "best section": "the same, of the section that holds most",
    "soft": "mean cosine of each word with the likest word of the first hit, by rarity",
    "rarest": "the same, of the three rarest words",
    "bm25": "of the best passage, for its words' rarity",
    "wording": "of the question alone: its words' log odds in the rows of tools/embedder; no passage is looked at",
    "late": "what late interaction finds in the best of the nearest passages; 0 where the embedder has none",
    "reranked": "that and what the reranker says of the best five, together (`Hit.fit`); 0 where there is none",
}
FOLDS, SHRINK = 6, 3.0  # of the logistic model: parts of the rows, L2 penalty
Key = tuple[str, str]  # document, heading path


@dataclass(frozen=True)
class Signals:
    """An index opened for measuring; each text is embedded once."""

    index: Index
    embeddings: Embedder
    vectors: dict[str, np.ndarray]
    reranker: Reranker | None = None

    @cached_property
    def keys(self) -> list[Key]:
        return [(chunk.document, chunk.heading) for chunk in self.index.chunks]

    @cached_property
    def terms(self) -> list[list[str]]:
        """The distinct terms of each chunk."""
        return [sorted(set(terms(chunk.passage))) for chunk in self.index.chunks]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, (texts, dim)."""
        new = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        made = self.embeddings.embed_documents(new) if new else []
        self.vectors.update({t: np.asarray(v, dtype=np.float32) for t, v in zip(new, made, strict=True)})
        return np.array([self.vectors[text] for text in texts])

    def of(self, question: str, without: Collection[Key] = ()) -> list[float]:
        """The SIGNALS of a question over the index without some sections; the higher, the likelier answered."""
        kept = np.array([key not in without for key in self.keys])
        vector = self.embed([question])[0]
        cosines, bm25 = self.index.cosines(vector.tolist()), self.index.lexical.scores(question)
        hits = [int(row) for row in ranked(cosines, bm25, WEIGHTS["hybrid"]) if kept[row]][:5]
        near = int(np.where(kept, cosines, -2).argmax())
        others = [cosines[row] for row in np.flatnonzero(kept) if self.keys[row] != self.keys[near]]
        chunks = [self.index.chunks[row] for row in hits]
        said = [sentence for chunk in chunks for sentence in sentences(chunk.text)] or [chunks[0].text]
        titles = [chunk.heading.rpartition(" › ")[2] or chunk.title for chunk in chunks]
        sections: dict[Key, set[str]] = {}
        for row in np.flatnonzero(kept):
            sections.setdefault(self.keys[row], set()).update(self.terms[row])
        asked = list(dict.fromkeys(terms(question))) or [question]
        held = np.array([sum(term in self.terms[row] for row in np.flatnonzero(kept)) for term in asked])
        rare = np.log(1 + (kept.sum() - held + 0.5) / (held + 0.5))
        share = {key: float(np.dot(rare, [t in own for t in asked]) / rare.sum()) for key, own in sections.items()}
        like = (self.embed(asked) @ self.embed(self.terms[hits[0]]).T).max(1)  # (words,)
        return [
            float(cosines[near]),
            float(cosines[near] - max(others)),
            float((self.embed(said) @ vector).max()),
            float((self.embed(titles) @ vector).max()),
            float(rare[held > 0].sum() / rare.sum()),
            share[self.keys[hits[0]]],
            max(share.values()),
            float(like @ rare / rare.sum()),
            float(like[np.argsort(-rare)[:3]].mean()),
            float(bm25[kept].max() / rare.sum()),
            sum(wording().get(word, 0.0) for word in worded(question)),
            *self.read(question, cosines, kept),
        ]

    def read(self, question: str, cosines: np.ndarray, kept: np.ndarray) -> tuple[float, float]:
        """The last two, as `IndexRetriever.evidence` has them, without some sections."""
        encoder = late_encoder(self.embeddings)
        if encoder is None or self.index.tokens is None:
            return 0.0, 0.0
        rows = np.array([row for row in np.argsort(-cosines, kind="stable") if kept[row]][:REREAD])
        _, tokens = encoder.encode_queries([question])[0]
        late = self.index.tokens.scores(tokens, cosines, rows)
        if self.reranker is None:
            return float(late.max()), 0.0
        best = np.argsort(-late, kind="stable")[:5]
        logits = self.reranker.logits(question, [self.index.chunks[row].passage for row in rows[best]])
        hits = [
            Hit(self.index.chunks[rows[n]], float(cosines[rows[n]]), float(late[n]), float(logit))
            for n, logit in zip(best, logits, strict=True)
        ]
        return float(late.max()), max(hit.fit for hit in hits)


def worded(question: str) -> set[str]:
    """Its words, pairs of words, and how it begins."""
    words = re.findall(r"\w+|[?;]", question.lower())
    return {*words, *map(" ".join, pairwise(words)), *("^" + " ".join(words[:n]) for n in (1, 2, 3))}


@cache
def wording() -> dict[str, float]:
    """How much oftener questions with an answer than near misses have each of `worded`, as log odds (naive Bayes)."""
    rows = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    good, bad = (
        Counter(word for row in rows for question in row[key] for word in worded(question))
        for key in ("questions", "near_misses")
    )
    total = sum(len(row["questions"]) for row in rows), sum(len(row["near_misses"]) for row in rows)
    return {w: float(np.log((good[w] + 1) / (total[0] + 2) / (bad[w] + 1) * (total[1] + 2))) for w in good | bad}


def asked_of(path: Path, keys: Sequence[Key]) -> list[tuple[str, str, set[Key]]]:
    """(question, kind, its own sections) of a file of rows; an answerable one comes again with its sections removed."""
    found: list[tuple[str, str, set[Key]]] = []
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if "audience" in row:  # the same question again, for a technical reader
            continue
        given = row.get("gold") or row.get("source") or []
        given = given if isinstance(given, list) else [given]
        gold = [(g["document"], g["heading"]) for g in given]
        own = {key for key in keys if any(key[0] == d and title in key[1].split(" › ") for d, title in gold)}
        found.append((row["question"], "answerable" if row["answerable"] else "near", own))
        if row["answerable"] and own:
            found.append((row["question"], "removed", own))
    return found


def logistic(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Weights and bias, (signals + 1,); both labels weigh the same in all. Newton's method with an L2 penalty."""
    x = np.c_[values, np.ones(len(values))]
    weight = np.where(good, 0.5 / good.sum(), 0.5 / (~good).sum()) * len(good)
    w, penalty = np.zeros(x.shape[1]), np.diag([SHRINK] * values.shape[1] + [1e-6])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + penalty
        w -= np.linalg.solve(curve, x.T @ (weight * (p - good)) + penalty @ w)
    return w


def trained(values: np.ndarray, good: np.ndarray, part: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, ...]:
    """(scores of the rows by models that have not seen their part, scores of the held-out questions by one of all)."""
    centre, spread = values.mean(0), values.std(0) + 1e-9
    rows, new = (values - centre) / spread, (held_out - centre) / spread
    scores = np.zeros(len(rows))
    for fold in range(FOLDS):
        w = logistic(rows[part != fold], good[part != fold])
        scores[part == fold] = rows[part == fold] @ w[:-1] + w[-1]
    w = logistic(rows, good)
    return scores, new @ w[:-1] + w[-1]


def table(rows: np.ndarray, kinds: np.ndarray, part: np.ndarray, new: np.ndarray, new_kinds: np.ndarray) -> None:
    """One line a signal: areas under the ROC curve, and what a threshold that was learnt on the rows refuses."""
    print(f"\n{'AUC':<14}{'near':>7}{'removed':>9}{'everyday':>10}{'held-out near':>15}{'removed':>9}", end="")
    print(f"   at {WRONGLY:.0%}, held out: refused wrongly, rightly, F1")
    lines = {name: (rows[:, i], new[:, i]) for i, name in enumerate(SIGNALS)}
    for name, used in (("trained", KINDS), ("trained, free", ("answerable", "removed"))):
        take = np.isin(kinds, used)
        scores, held = trained(rows[take], kinds[take] == "answerable", part[take], new)
        whole = np.full(len(rows), np.nan)
        whole[take] = scores
        lines[name] = whole, held
    for name, (a, b) in lines.items():
        areas = [area(a[kinds == "answerable"], a[kinds == kind]) for kind in KINDS[1:]]
        areas += [area(b[new_kinds == "answerable"], b[new_kinds == kind]) for kind in KINDS[1:3]]
        good, bad = b[new_kinds == "answerable"], b[new_kinds == "near"]
        least = np.sort(a[kinds == "answerable"])[int(WRONGLY * (kinds == "answerable").sum())]
        wrong, right = int((good < least).sum()), int((bad < least).sum())
        line = "".join(f"{v:>{n}.2f}" for v, n in zip(areas, (7, 9, 10, 15, 9), strict=True))
        f1 = 2 * right / (wrong + right + len(bad))
        print(f"{name:<14}{line}   {wrong} of {len(good)}, {right} of {len(bad)}, {f1:.2f}")


def served(config: Config, index: Index, embeddings: Embedder) -> None:
    """What the product's own floor refuses, learnt as `copilot ask` learns it."""
    retrieve = IndexRetriever(index, embeddings, config.retriever, reranker=open_reranker(config.retriever.reranker))
    rows = labelled(Work(config))
    retrieve.embed(list(rows), config.embeddings.batch_size)
    floor = learn([evidence(question, retrieve) for question in rows], list(rows.values()))
    print(f"\nthe product: {floor.describe()}; threshold {floor.threshold:.3f}")
    held_out = {q.question: q.answerable for q in read_questions(Path(config.evaluation.questions))}
    far = {json.loads(line)["question"] for line in OFF_TOPIC.read_text(encoding="utf-8").splitlines()}
    sets = {
        "training rows, near": {q: yes for q, yes in rows.items() if q not in far},
        "training rows, everyday": {q: yes for q, yes in rows.items() if yes or q in far},
        "held-out questions": held_out,
    }
    for name, asked in sets.items():
        found, good = [evidence(question, retrieve) for question in asked], np.array(list(asked.values()))
        scores = np.array([floor.score(e) for e in found])
        refused = np.array([floor.judge(e) is not None for e in found])
        wrong, right = refused[good].sum(), refused[~good].sum()
        told = f"wrongly {wrong} of {good.sum()}, rightly {right} of {(~good).sum()}"
        f1 = 2 * right / (wrong + right + (~good).sum())
        print(f"{name:<24} AUC {area(scores[good], scores[~good]):.2f}; refused {told}; F1 {f1:.2f}")


def area(good: np.ndarray, bad: np.ndarray) -> float:
    """Area under the ROC curve, ties counting half; nan where a kind was not measured."""
    measured = bad.size and not np.isnan(bad).any()
    return float(((good[:, None] > bad) + 0.5 * (good[:, None] == bad)).mean()) if measured else float("nan")


def main() -> None:
    """Print what the signals are, how far each goes, and what the product refuses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="configs/tiny.yaml")
    config = load_config(parser.parse_args().config)
    quiet_libraries()
    chunks = [c for document in load_documents(config.documents) for c in split(document, config.chunks)]
    embeddings = load_embeddings(config.embeddings)
    index = Index.build(chunks, embeddings, config.embeddings.batch_size)
    signals = Signals(index, embeddings, {}, open_reranker(config.retriever.reranker))
    train = OFF_TOPIC.parent / "train.jsonl"
    asked = asked_of(train, signals.keys)
    asked += [(question, "everyday", set()) for question, _, _ in asked_of(OFF_TOPIC, signals.keys)]
    new = asked_of(Path(config.evaluation.questions), signals.keys)
    documents = sorted({key[0] for key in signals.keys})
    part = [documents.index(min(own)[0]) % FOLDS if own else n % FOLDS for n, (_, _, own) in enumerate(asked)]
    for name, meaning in SIGNALS.items():
        print(f"{name:<14}{meaning}")
    values, held = (
        np.array([signals.of(q, own if kind == "removed" else ()) for q, kind, own in rows]) for rows in (asked, new)
    )
    table(values, np.array([k for _, k, _ in asked]), np.array(part), held, np.array([k for _, k, _ in new]))
    served(config, signals.index, embeddings)


if __name__ == "__main__":
    main()
