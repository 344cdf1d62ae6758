"""A run and its retriever in; what tells questions that the documents do not answer, learnt once and kept, out.

`abstention.json` stands beside the index. It is learnt when a question is first asked, and again when the index or the
rows have changed; the evaluation questions are never among the rows. Where there are too few rows about the documents,
one that was learnt on others and came with the embeddings' adapter serves: what late interaction finds compares.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from copilot.answering.abstained import abstained
from copilot.answering.asked import read_question
from copilot.answering.choosing import JUDGED, surest
from copilot.answering.floor import Evidence, Floor, counted, learn
from copilot.answering.identifiers import mentions, supported
from copilot.answering.ranking import best_entry, explained, next_entry
from copilot.knowledge.asking import is_name, subject
from copilot.knowledge.documents import find_files
from copilot.knowledge.index import Index
from copilot.knowledge.lexical import COMMON
from copilot.knowledge.retriever import REMEMBERED, IndexRetriever
from copilot.model.dataset import read_jsonl
from copilot.model.formats import question_and_response
from copilot.runs import now, write_json
from copilot.types import Abstention, Hit
from copilot.work import Work

NEAR = 0.45  # `Hit.fit` of the best passage, from where a question whose every word one entry holds is answered
SAYS = 0.05  # what one of the log odds of the best sentence weighs beside the fit of the best passage
LEAST, PLAIN = 0.35, 0.6  # a fit below the one or from the other on decides alone: its sentences are not read
MOST = 8.0  # log odds that stand for theirs
READ = 6  # texts of an entry that are read
ALIKE = 0.9  # of two names, from 0 to 1, from where one is the other with a slip

Doubt = Callable[[str], Abstention | None]


def open_doubt(work: Work, retrieve: IndexRetriever, say: Callable[[str], None]) -> Doubt | None:
    """What a question's refusal is decided by: the evidence, where that is trusted, and names; None where it is off."""
    if work.config.answer.abstain == "off":
        return None
    floor = open_floor(work, retrieve, say)

    @lru_cache(maxsize=REMEMBERED)  # asked before an answer, for its cost and in its record: one search serves all
    def doubt(question: str) -> Abstention | None:
        if missing := _missing(question, retrieve.index):
            told = ", ".join(f"“{name}”" for name in missing)
            return Abstention("evidence", None, None, f"it asks for {told} alone, and no passage holds it", missing)
        found = floor.judge(evidence(question, retrieve))
        if found is None or floor.judge(evidence(question, retrieve, JUDGED)) is None:  # all that an answer reads
            return None
        if _named(question, retrieve(question)):
            return None
        return replace(found, unknown=tuple(retrieve.index.lexical.unknown(question)))

    return doubt


def _missing(question: str, index: Index) -> tuple[str, ...]:
    """The names and codes that it asks for, where it asks for nothing else and no passage holds any of them.

    One that differs by a letter or so from one that they hold is a slip; but a code such as PS014 is not PS015.
    """
    names = subject(question, COMMON)
    if not names or not all(map(is_name, names)):
        return ()
    words = index.lexical
    plain = [name for name in names if name.isalpha() and name.isupper()]
    if any(not words.unknown(name) for name in plain):
        return ()
    slips = [name.lower() for name in names if not re.search(r"[\d/]|^-", name)]
    if any(get_close_matches(name, words.vocabulary, 1, ALIKE) for name in slips):
        return ()
    whole = "\n".join(index.passages())
    return () if any(mentions(whole, name) for name in names) else names


def evidence(question: str, retrieve: IndexRetriever, most: int = READ) -> Evidence:
    """That of the passages; where a reranker reads, with what the best sentence of the two entries that fit best adds.

    A passage may be about something else as a whole, and one about the thing may not say what is asked. `most` texts
    are read of an entry.
    """
    found = retrieve.evidence(question)
    if retrieve.judge is None:
        return found
    (fit,) = found
    if not LEAST <= fit < PLAIN:
        return (fit + SAYS * (MOST if fit >= PLAIN else -MOST),)
    hits = retrieve(question)
    asked = read_question(question, hits, retrieve.judge)
    first = best_entry(asked, hits)
    other = next_entry(asked, first, hits) if first else None
    odds = [surest(one, asked, most) for one in (first, other) if one]
    return (fit + SAYS * float(max(odds, default=-MOST)),)


def _named(question: str, hits: Sequence[Hit]) -> bool:
    """Whether it asks for a name alone, and that is explained in a hit, or stands there as no plain word does.

    Or all that it asks for, two words and more, stands in the entry that fits best, and the evidence is not far off.
    """
    asked = read_question(question, hits)
    if is_name(asked.alone) and any(supported(asked.alone, hit.chunk.passage) for hit in hits):
        return True
    found = best_entry(asked, hits)
    if found is None:
        return False
    near = any(hit.logit is not None for hit in hits) and max(hit.fit for hit in hits) >= NEAR
    return explained(asked, found) or (near and found.whole and len(asked.weight) > 1)


def open_floor(work: Work, retrieve: IndexRetriever, say: Callable[[str], None]) -> Floor:
    """The floor of `abstention.json` when it fits, else learnt, kept and told of by `say`."""
    path, key = work.folder / "abstention.json", work.key("abstention")
    if (kept := _read(path, key)) is not None:
        return kept
    rows = labelled(work)
    floor, told = counted(list(rows.values())), ""
    if floor.enough:
        say(f"abstention: looking up {len(rows)} questions, once for this index, to tell what it does not answer")
        retrieve.embed(list(rows), work.config.embeddings.batch_size)
        floor = learn([evidence(question, retrieve) for question in rows], list(rows.values()))
    shipped = None if floor.enough or not retrieve.index.tokens else _read(work.shipped_floor, None)
    if shipped and len(shipped.known) == 1:  # late interaction's evidence
        floor, told = shipped, "learnt on other documents: "
    keep_floor(path, floor, key)
    say(f"abstention: {told}{floor.describe()}")
    return floor


def keep_floor(path: Path, floor: Floor, key: str = "") -> None:
    """Write `abstention.json`; without a key it fits no run, but may be shipped."""
    write_json(path, {"fingerprint": key, "made": now(), "trusted": floor.trusted, "floor": asdict(floor)})


def _read(path: Path | None, key: str | None) -> Floor | None:
    """What stands in the file, of whatever key for None; None where there is none, or it is damaged."""
    if path is None:
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if key in (None, data["fingerprint"]):
            known = tuple(map(tuple, data["floor"].pop("known")))
            return Floor(known=known, **data["floor"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def labelled(work: Work) -> dict[str, bool]:
    """Question → whether the documents answer it, of the training rows and `answer.abstain_rows`, each once.

    `answerable` says so, or else the response, which may begin by saying that the documents do not say. A row with a
    context of its own says nothing of the documents, nor does one whose `source` is another document, nor the rows
    of an adapter that is another run's. Raises CopilotError for a file named there that is missing.
    """
    documents = {name for name, _ in find_files(work.config.documents)}
    data = work.config.train.data
    found: dict[str, bool] = {}
    own = [data] if Path(data).is_file() and not work.lender else []
    for path in [*own, *work.config.answer.abstain_rows]:
        for _, row in read_jsonl(Path(path)):
            question, response = question_and_response(row)
            if question and not row.get("retrieved_context") and _about(row, documents):
                found.setdefault(question, _answerable(row, response))
    return found


def _about(row: dict[str, Any], documents: set[str]) -> bool:
    given = row.get("source") or []
    sources = [
        part.get("document") for part in (given if isinstance(given, list) else [given]) if isinstance(part, dict)
    ]
    return not sources or not documents.isdisjoint(sources)


def _answerable(row: dict[str, Any], response: str) -> bool:
    given = row.get("answerable")
    return given if isinstance(given, bool) else not abstained(response)
