"""Questions with and without an answer in the documents in; what tells them apart, and whether to go by it, out.

The evidence of a question is how well the best passage answers it, by late interaction and the reranker (`Hit.fit`);
without both, how near the nearest is and how many of the question's words the documents hold. A question is refused
when few questions that can be answered are as far from the documents, so that the share of questions refused wrongly
is bounded whatever the embedder, the language or the documents.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from copilot.types import Abstention

WRONGLY = 0.06  # of the questions that can be answered, refused at most
FEWEST = (30, 10)  # questions that can be answered and that cannot, to learn from
SEED, RESAMPLES = 0, 1000  # of the bootstrap

Evidence = tuple[float, ...]  # of the best passage; or highest cosine, share of the words that the documents hold


@dataclass(frozen=True, slots=True)
class Floor:
    """What was learnt, as `abstention.json` holds it."""

    known: tuple[tuple[float, ...], ...]  # each evidence of the answerable questions, ascending
    threshold: float  # a score below it is refused
    answerable: int
    unanswerable: int
    refused_answerable: float  # share, each question measured against the others
    refused_unanswerable: float  # share
    auc: float | None  # probability that an answerable question scores above an unanswerable one
    auc_low: float | None  # 95 % bootstrap interval
    auc_high: float | None

    @property
    def enough(self) -> bool:
        """Whether it was learnt from enough questions."""
        return self.answerable >= FEWEST[0] and self.unanswerable >= FEWEST[1]

    @property
    def trusted(self) -> bool:
        """Whether it is better than chance on enough questions, so that anything is refused by it."""
        return self.enough and self.auc_low is not None and self.auc_low > 0.5

    def score(self, evidence: Evidence) -> float:
        """Share in (0, 1] of the answerable questions that are as far from the documents, by the worse evidence.

        A conformal p-value, so a threshold t refuses about t of them, at most twice as many for two evidences.
        Source: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random World, 2.2.
        """
        if not self.known:
            return 1.0
        return min(
            (1 + bisect_right(values, mine)) / (1 + len(values))
            for values, mine in zip(self.known, evidence, strict=True)
        )

    def judge(self, evidence: Evidence) -> Abstention | None:
        """The refusal with its reason; None where the question may be answered."""
        score = self.score(evidence)
        if not self.trusted or score >= self.threshold:
            return None
        match evidence:
            case (cosine, share):
                words = f"the documents hold {share:.0%} of the question's words by weight"
                far = f"has a cosine of {cosine:.2f} and {words}"
            case (fit, *_):
                far = f"scores {fit:.2f}"
        said = f"of {self.answerable} questions with an answer {score:.1%} are as far away"
        reason = f"the nearest passage {far}; {said}"
        return Abstention("evidence", round(score, 6), self.threshold, reason)

    def describe(self) -> str:
        """What was learnt, in one line."""
        good, bad = f"{self.answerable} questions with an answer", f"{self.unanswerable} without"
        if not self.enough:
            return f"nothing is refused by the evidence: {good}, {bad}; at least {FEWEST[0]} and {FEWEST[1]} are needed"
        if not self.trusted:
            return f"nothing is refused by the evidence, which is no better than chance ({self._area()})"
        share, wrongly = f"{self.refused_unanswerable:.0%}", f"{self.refused_answerable:.0%}"
        return f"what is far from the documents is refused: {wrongly} of {good}, {share} of {bad} ({self._area()})"

    def _area(self) -> str:
        return f"AUC {self.auc:.2f}, {self.auc_low:.2f} to {self.auc_high:.2f}"


def counted(answerable: Sequence[bool]) -> Floor:
    """One that refuses nothing, of so many questions of each kind."""
    good = sum(answerable)
    return Floor((), 0.0, good, len(answerable) - good, 0.0, 0.0, None, None, None)


def learn(evidence: Sequence[Evidence], answerable: Sequence[bool]) -> Floor:
    """What tells the questions apart. Its figures are of questions that each were left out when it was measured.

    The threshold is where the share refused rightly exceeds that refused wrongly most (Youden 1950), below WRONGLY.
    """
    good = [e for e, yes in zip(evidence, answerable, strict=True) if yes]
    bad = [e for e, yes in zip(evidence, answerable, strict=True) if not yes]
    floor = replace(counted(answerable), known=tuple(tuple(sorted(values)) for values in zip(*good, strict=True)))
    left_out = [_without(floor, e) for e in good]
    below = [floor.score(e) for e in bad]
    possible = sorted(left_out)[: int(WRONGLY * len(good)) + 1] or [0.0]
    threshold = max(possible, key=lambda t: (_share(below, t) - _share(left_out, t), -t))
    area = _auc(left_out, below) if good and bad else (None, None, None)
    refused = [_share(scores, threshold) for scores in (left_out, below)]
    return Floor(floor.known, threshold, len(good), len(bad), refused[0], refused[1], *area)


def _without(floor: Floor, evidence: Evidence) -> float:
    """The score of an answerable question by the others: its own value counts as the 1 that `score` adds."""
    pairs = zip(floor.known, evidence, strict=True)
    return min(bisect_right(values, mine) / len(values) for values, mine in pairs)


def _share(scores: Sequence[float], threshold: float) -> float:
    return sum(score < threshold for score in scores) / len(scores) if scores else 0.0


def _auc(good: Sequence[float], bad: Sequence[float]) -> tuple[float, float, float]:
    """(area under the ROC curve, its 95 % bootstrap interval), ties counting half."""
    import numpy as np

    a, b = np.asarray(good), np.asarray(bad)
    wins = (a[:, None] > b) + 0.5 * (a[:, None] == b)  # (good, bad)
    rng = np.random.default_rng(SEED)
    rows, columns = (rng.integers(0, len(x), size=(RESAMPLES, len(x))) for x in (a, b))
    draws = [wins[np.ix_(i, j)].mean() for i, j in zip(rows, columns, strict=True)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(wins.mean()), float(low), float(high)
