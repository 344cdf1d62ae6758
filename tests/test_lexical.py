"""Passages and questions in; the words that are looked up, BM25 by the book, coverage, and bytes there and back."""

import ast
import io
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from copilot.config import Retriever
from copilot.knowledge.index import Index
from copilot.knowledge.lexical import K1, B, Lexical, terms
from copilot.knowledge.retriever import REMEMBERED, WEIGHTS, IndexRetriever, ranked
from copilot.types import Chunk

PASSAGES = [
    "Tokens › Rotate a token\n`POST /v2/tokens/{tokenId}/rotate` gives the token a new secret.",
    "Contacts › Delete a contact\nDeleting a contact removes it from every list.",
    "Contacts › Import contacts\nA file of contacts is imported with `importMode`. The file is a list.",
    "Lists › Members\nHow many contacts a list holds.",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`POST /v2/tokens/{tokenId}/rotate`", "post v2 token tokenid token id rotat"),
        ("oldSecret_id and HTTPServer", "oldsecret_id old secret id httpserver http server"),
        ("the allowed-ips of E.164 numbers, code 404", "allowed-ips allow ips e.164 164 number cod 404"),
        ("rotate rotates rotated rotating", "rotat rotat rotat rotat"),
        ("stop stopped stopping, selling, boxes", "stop stop stop sell box"),
        ("entry entries, class classes, address", "entry entry class class address"),
        ("Müllers Straße don’t 日本語 Ölquellen", "müller straß don 日本語 ölquellen"),
        ("How do I and the of it?", ""),
        ("", ""),
    ],
)
def test_words_and_identifiers_whole_and_in_parts(text: str, expected: str) -> None:
    assert " ".join(terms(text)) == expected


def by_the_book(question: str) -> list[float]:
    """Robertson and Zaragoza's formula, term by term."""
    counts = [Counter(terms(passage)) for passage in PASSAGES]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths)
    scores = []
    for count, length in zip(counts, lengths, strict=True):
        score = 0.0
        for term in terms(question):
            df = sum(term in other for other in counts)
            idf = math.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
            times = count[term]
            score += idf * times * (K1 + 1) / (times + K1 * (1 - B + B * length / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize(
    "question", ["delete the contacts of a list", "rotating tokenId", "importMode file file", "weather", "how do I"]
)
def test_scores_are_bm25(question: str) -> None:
    assert Lexical(PASSAGES).scores(question) == pytest.approx(by_the_book(question), rel=1e-5)


def test_coverage_weighs_rare_words_and_names_the_unknown() -> None:
    lexical = Lexical(PASSAGES)
    assert lexical.coverage("Delete a contact?") == 1 == lexical.coverage("How do I?") == lexical.coverage("")
    assert lexical.coverage("What is the weather in Berlin?") == 0
    assert 0 < lexical.coverage("contact weather") < lexical.coverage("contact rotate weather") < 1
    assert lexical.coverage("contact weather") < lexical.coverage("token weather"), "a common word weighs less"
    assert lexical.unknown("Does the weather delete Weather contacts on maxRings?") == [
        "weather",
        "Weather",
        "maxRings",
    ]
    assert lexical.unknown("Which bugs were there, and could you make them?") == ["bugs"], "no words of every question"
    assert Lexical(["", "  "]).coverage("weather") == 0 and Lexical([""]).scores("x").tolist() == [0]


def test_bytes_there_and_back() -> None:
    made = Lexical(PASSAGES)
    data = made.to_bytes()
    again = Lexical.from_bytes(data)
    assert again.to_bytes() == data == Lexical(PASSAGES).to_bytes()
    assert again.vocabulary == made.vocabulary and again.size == 4
    question = "delete contacts of `importMode`"
    assert np.array_equal(again.scores(question), made.scores(question))
    assert again.coverage("token weather") == made.coverage("token weather")
    empty = Lexical.from_bytes(Lexical([""]).to_bytes())
    assert empty.vocabulary == {} and empty.scores("x").tolist() == [0]


def test_bytes_hold_no_objects_that_would_need_pickle() -> None:
    with np.load(io.BytesIO(Lexical(PASSAGES).to_bytes())) as held:
        assert all(held[name].dtype.kind in "uif" for name in held.files)


def test_looking_up_loads_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; from copilot.knowledge.lexical import Lexical; from copilot.knowledge import retriever\n"
        "Lexical(['a lamp gives light']).scores('light'); print(sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "scipy", "transformers", "numba", "faiss"} & set(ast.literal_eval(done.stdout))


def test_a_hybrid_ranks_by_both_and_stays_in_order_among_equals() -> None:
    cosines = np.array([0.9, 0.1, 0.6, 0.5], dtype=np.float32)
    lexical = np.array([0.0, 8.0, 8.0, 0.0], dtype=np.float32)
    assert ranked(cosines, lexical, WEIGHTS["dense"]).tolist() == [0, 2, 3, 1]
    assert ranked(cosines, lexical, WEIGHTS["lexical"]).tolist() == [2, 1, 0, 3], "the cosine decides among equals"
    assert ranked(cosines, lexical, WEIGHTS["hybrid"]).tolist() == [2, 0, 3, 1]
    assert ranked(cosines, np.zeros(4, dtype=np.float32), WEIGHTS["hybrid"]).tolist() == [0, 2, 3, 1]
    one = np.array([0.5], dtype=np.float32)
    assert ranked(one, one, WEIGHTS["hybrid"]).tolist() == [0]


class Constant:
    """A real embedder to which all texts are alike: only words can tell them apart. It counts the questions."""

    def __init__(self) -> None:
        self.asked = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 1.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        self.asked += 1
        return [1.0, 1.0]

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def retriever(**settings: object) -> tuple[IndexRetriever, Constant]:
    embedder = Constant()
    chunks = [Chunk("a.md", "A", "A", None, 0, len(text), text) for text in PASSAGES]
    return IndexRetriever(Index.build(chunks, embedder, 2), embedder, Retriever.model_validate(settings)), embedder


def test_words_decide_where_vectors_cannot_and_the_score_stays_a_cosine() -> None:
    for mode in ("hybrid", "lexical"):
        retrieve, _ = retriever(k=2, mode=mode)
        hits = retrieve("Which call rotates tokenId?")
        assert hits[0].chunk.text == PASSAGES[0] and len(hits) == 2
        assert [hit.score for hit in hits] == pytest.approx([1, 1]) and all(-1 <= hit.score <= 1 for hit in hits)
    assert Retriever().mode == "hybrid"


class Liking:
    """A reranker that likes one wording."""

    def __init__(self, wording: str) -> None:
        self.wording = wording

    def logits(self, question: str, passages: Sequence[str]) -> np.ndarray:
        return np.array([8.0 if question == self.wording and "importMode" in p else -8.0 for p in passages])


@pytest.mark.parametrize("liked", ["Explain importMode in simple terms?", "Explain importMode?"])
def test_the_words_of_asking_lower_no_evidence(liked: str) -> None:
    plain_one, _ = retriever(k=3)
    retrieve = replace(plain_one, reranker=Liking(liked))  # type: ignore[arg-type]
    (evidence,) = retrieve.evidence("Explain importMode in simple terms")
    hits = retrieve("Explain importMode in simple terms")
    assert "importMode" in hits[0].chunk.text and hits[0].logit == 8
    assert evidence == hits[0].fit > retrieve.evidence("Explain the import")[0]


@pytest.mark.parametrize("name", ["--in", "What does --in do?", "the dry option"])
def test_a_name_asked_for_alone_is_found_where_it_is_explained(name: str) -> None:
    texts = [*PASSAGES, "Move\nIt moves `--in` there. Dry, dry.", "Sort\n| `--in` | The folder. |\n| `dry` | Where. |"]
    chunks = [Chunk("a.md", "A", "A", None, 0, len(text), text) for text in texts]
    retrieve = IndexRetriever(Index.build(chunks, Constant(), 2), Constant(), Retriever(k=1))
    assert retrieve(name)[0].chunk.text == texts[-1]


def test_a_question_is_embedded_once_and_not_kept_for_ever() -> None:
    retrieve, embedder = retriever(k=1)
    retrieve("rotate")
    assert retrieve.evidence("rotate") == (pytest.approx(1), 1.0) and embedder.asked == 1
    for i in range(REMEMBERED + 5):
        retrieve(f"question {i}")
    assert len(retrieve.known) == REMEMBERED and "rotate" not in retrieve.known


def test_words_of_asking_and_other_forms_of_a_word_are_not_unknown() -> None:
    lexical = Lexical(["Turn other mails on or off.", "The expiry of a code.", "Upload a certificate."])
    asked = "whats possible if someone gets emails, anything expired or uploaded? Please explain the endpoint"
    assert lexical.unknown(asked) == []
    assert lexical.unknown("Is the weather possible?") == ["weather"]
