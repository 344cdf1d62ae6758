"""Questions with their answers in, one Score each and the figures over all of them out; pure and deterministic."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from copilot.answering.abstained import abstained, sentences
from copilot.answering.identifiers import in_text, is_pair, supported
from copilot.evaluation.readability import grade
from copilot.knowledge.lexical import STOP
from copilot.prompt.sections import parse
from copilot.types import Answer, Question

SEED = 0  # of the bootstrap
RESAMPLES = 1000
ORIGINAL = ("structure", "groundedness", "relevance", "reference_overlap", "brevity")


@dataclass(frozen=True, slots=True)
class Score:
    """What is measured of one answer. Shares lie in [0, 1]; None means that the question has no such figure."""

    id: str  # Question.id
    answerable: bool
    structure: bool  # exactly the headings, in order, each with text
    identifier_precision: float | None  # named identifiers that the context holds
    identifier_recall: float | None  # gold identifiers that are named
    endpoint: bool | None  # the gold endpoint is named
    recall_at_k: float | None  # gold sections among the hits
    reciprocal_rank: float | None  # 1 / rank of the first gold section, 0 without one
    abstained: bool
    abstention_right: bool  # abstained == not answerable
    repeats: bool
    no_findings: bool  # nothing that `answering.check` would tell
    original: dict[str, float]  # the five KPIs of `original_kpis`
    grades: dict[str, float] = field(default_factory=dict)  # section title → `grade` of its text
    filled: float | None = None  # sections that a rule filled; None for a text that no model wrote, or wrote freely


class Figure(TypedDict):
    """A mean over n questions with its 95 % interval."""

    mean: float
    n: int
    low: float
    high: float


Summary = dict[str, Figure]


def structure(text: str, titles: Sequence[str]) -> bool:
    """Whether `text` is exactly these sections, in order, each with text, and nothing before them."""
    return parse(text, titles) is not None


def identifier_precision(text: str, context: str) -> float | None:
    """Share of the identifiers named in `text` that `context` holds; None when it names none."""
    return _share([supported(name, context) for name in in_text(text)])


def identifier_recall(text: str, identifiers: Sequence[str]) -> float | None:
    """Share of the gold `identifiers` that `text` names; None without gold.

    A gold identifier that is a plain lower-case word must be named as an identifier ("until" in prose is no field);
    any other counts wherever it stands.
    """
    named = "\n".join(in_text(text))
    return _share([supported(i, named if re.fullmatch("[a-z]+", i) else f"{text}\n{named}") for i in identifiers])


def endpoint(text: str, identifiers: Sequence[str]) -> bool | None:
    """Whether `text` names the endpoint that the row names first, as `VERB /path`; None when it names none there.

    The path with another verb right before it is another endpoint; verb and path may stand apart.
    """
    return supported(identifiers[0], text) if identifiers and is_pair(identifiers[0]) else None


def recall_at_k(hits: list[tuple[str, str]], gold: list[tuple[str, str]]) -> float | None:
    """Share of the gold (document, heading) pairs among the `hits`, (document, heading path) pairs; None without gold.

    A hit is relevant when the document is the same and the heading is a part of its path, split at " › ".
    Recall at k of Manning, Raghavan, Schütze, Introduction to Information Retrieval, 8.3-8.4, k being len(hits).
    """
    return _share([any(_relevant(hit, pair) for hit in hits) for pair in gold])


def reciprocal_rank(hits: list[tuple[str, str]], gold: list[tuple[str, str]]) -> float | None:
    """1 / rank of the first relevant hit, 0.0 without one, None without gold (Voorhees, TREC-8 QA track, 1999)."""
    if not gold:
        return None
    ranks = (rank for rank, hit in enumerate(hits, 1) if any(_relevant(hit, pair) for pair in gold))
    return 1 / rank if (rank := next(ranks, 0)) else 0.0


def ndcg_at_k(hits: list[tuple[str, str]], gold: list[tuple[str, str]]) -> float | None:
    """Normalised discounted cumulative gain of the `hits` in [0, 1], None without gold; k is len(hits).

    A gold section counts once, where it is first met, and all weigh the same. Source: Järvelin and Kekäläinen 2002,
    Cumulated gain-based evaluation of IR techniques, with the logarithm to base 2.
    """
    if not gold:
        return None
    firsts = [next((rank for rank, hit in enumerate(hits, 1) if _relevant(hit, pair)), None) for pair in set(gold)]
    met = {rank for rank in firsts if rank is not None}
    best = range(1, min(len(set(gold)), max(len(hits), 1)) + 1)
    return sum(1 / math.log2(rank + 1) for rank in met) / sum(1 / math.log2(rank + 1) for rank in best)


def repeats(text: str) -> bool:
    """Whether a sentence of at least 6 words stands twice; case and punctuation make no difference."""
    long = [" ".join(words) for s in sentences(text) if len(words := _words(s)) >= 6]
    return len(set(long)) < len(long)


def original_kpis(text: str, context: str, question: str, reference: str, titles: Sequence[str]) -> dict[str, float]:
    """Five KPIs in [0, 1] after the original notebook, kept for comparison and not trusted.

    Only the first two are documented, and by name alone: `structure`, the share of the headings found, and
    `groundedness`, the share of the answer's distinct tokens that the context holds. It gives 1 to a copy of the
    context. The other three are our stand-ins: `relevance`, the share of the question's content words in the answer;
    `reference_overlap`, F1 of the longest common subsequence of tokens (ROUGE-L, Lin 2004); `brevity`, the share of
    sentences of at most 25 words. What does not exist (no token, no sentence) is 0.
    """
    tokens, known = _words(text), set(_words(context))
    asked = set(_words(question)) - STOP
    lines = {line.strip() for line in text.splitlines()}
    return {
        "structure": _share([f"### {title}" in lines for title in titles]) or 0.0,
        "groundedness": _share([token in known for token in set(tokens)]) or 0.0,
        "relevance": _share([word in tokens for word in asked]) or 0.0,
        "reference_overlap": _rouge_l(tokens, _words(reference)),
        "brevity": _share([len(_words(s)) <= 25 for s in sentences(text)]) or 0.0,
    }


def score(question: Question, answer: Answer, titles: Sequence[str]) -> Score:
    """Everything measured of one answer; its context is the passages of its hits, as the model saw them."""
    text = answer.text
    context = "\n".join(hit.chunk.passage for hit in answer.hits)
    hits = [(hit.chunk.document, hit.chunk.heading) for hit in answer.hits]
    gave_up = abstained(text)
    return Score(
        id=question.id,
        answerable=question.answerable,
        structure=structure(text, titles),
        identifier_precision=identifier_precision(text, context),
        identifier_recall=identifier_recall(text, question.identifiers),
        endpoint=endpoint(text, question.identifiers),
        recall_at_k=recall_at_k(hits, list(question.gold)),
        reciprocal_rank=reciprocal_rank(hits, list(question.gold)),
        abstained=gave_up,
        abstention_right=gave_up == (not question.answerable),
        repeats=repeats(text),
        no_findings=not answer.findings,
        filled=None if answer.filled is None else len(answer.filled) / len(titles),
        original=original_kpis(text, context, question.question, question.reference, titles),
        grades={s.title: level for s in answer.sections if (level := grade(s.text)) is not None},
    )


def summary(scores: list[Score]) -> Summary:
    """Name to figure over all questions that have it; a name without any question is absent.

    Intervals of 95 %: Wilson (1927) for yes or no, percentile bootstrap (Efron 1979; 1000 resamples, fixed seed) for
    the others. Abstention counts as a classifier whose positives are the questions that cannot be answered.
    """
    gaps = [s for s in scores if not s.answerable]
    figures = {
        "structure": _wilson([s.structure for s in scores]),
        "identifier_precision": _bootstrap([s.identifier_precision for s in scores]),
        "identifier_recall": _bootstrap([s.identifier_recall for s in scores]),
        "endpoint": _wilson([s.endpoint for s in scores if s.endpoint is not None]),
        "recall_at_k": _bootstrap([s.recall_at_k for s in scores]),
        "reciprocal_rank": _bootstrap([s.reciprocal_rank for s in scores]),
        "abstention_right": _wilson([s.abstention_right for s in scores]),
        "abstention_precision": _wilson([not s.answerable for s in scores if s.abstained]),
        "abstention_recall": _wilson([s.abstained for s in gaps]),
        "abstention_f1": _resample(len(scores), _f1(scores)) if gaps else None,
        "repeats": _wilson([s.repeats for s in scores]),
        "no_findings": _wilson([s.no_findings for s in scores]),
        "filled": _bootstrap([s.filled for s in scores]),
    }
    for title in dict.fromkeys(title for s in scores for title in s.grades if s.structure):
        figures[f"grade of {title}"] = _bootstrap([s.grades.get(title) if s.structure else None for s in scores])
    figures["grade"] = _bootstrap([sum(s.grades.values()) / len(s.grades) if s.grades else None for s in scores])
    for name in ORIGINAL:
        figures[f"original_{name}"] = _bootstrap([s.original.get(name) for s in scores])
    return {name: figure for name, figure in figures.items() if figure is not None}


def _relevant(hit: tuple[str, str], gold: tuple[str, str]) -> bool:
    return hit[0] == gold[0] and gold[1] in hit[1].split(" › ")


def _share(truths: list[bool]) -> float | None:
    return sum(truths) / len(truths) if truths else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _rouge_l(tokens: list[str], reference: list[str]) -> float:
    """F1 of the longest common subsequence."""
    row = [0] * (len(reference) + 1)  # row[j]: longest common subsequence with reference[:j]
    for token in tokens:
        diagonal = 0
        for j, other in enumerate(reference, 1):
            diagonal, row[j] = row[j], diagonal + 1 if token == other else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(tokens) + len(reference)) if row[-1] else 0.0


def _wilson(truths: list[bool]) -> Figure | None:
    """Wilson's score interval of a share."""
    n, z = len(truths), 1.959964
    if not n:
        return None
    p = sum(truths) / n
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    return {"mean": p, "n": n, "low": max(0.0, (middle - half) / scale), "high": min(1.0, (middle + half) / scale)}


def _bootstrap(values: Sequence[float | None]) -> Figure | None:
    """Mean of the values that exist, with its bootstrap interval."""
    known = [value for value in values if value is not None]
    return _resample(len(known), lambda at: sum(known[i] for i in at) / len(at))


def _f1(scores: list[Score]) -> Callable[[Sequence[int]], float]:
    """F1 of abstaining over the questions at some places; 0 where nothing was to be found or was found."""

    def f1(at: Sequence[int]) -> float:
        right = sum(scores[i].abstained and not scores[i].answerable for i in at)
        both = sum(scores[i].abstained + (not scores[i].answerable) for i in at)
        return 2 * right / both if both else 0.0

    return f1


def _resample(n: int, figure: Callable[[Sequence[int]], float]) -> Figure | None:
    """`figure` of all n places, with the 2.5 % and 97.5 % points over places drawn with replacement."""
    import numpy as np

    if not n:
        return None
    draws = np.random.default_rng(SEED).integers(0, n, size=(RESAMPLES, n)).tolist()
    low, high = np.percentile([figure(draw) for draw in draws], [2.5, 97.5])
    return {"mean": figure(range(n)), "n": n, "low": float(low), "high": float(high)}
