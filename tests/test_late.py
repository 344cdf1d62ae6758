"""Token vectors in; what a question finds in a passage, the order and the evidence that follow, and bytes, out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_embeddings import ADAPTER, TEXTS
from test_index import Console, make_project

from copilot.abstention import open_doubt
from copilot.answering.floor import learn
from copilot.config import Embeddings, Retriever
from copilot.config_file import load_config
from copilot.errors import CopilotError, StaleError
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.late import Tokens, passage_tokens, question_tokens, score
from copilot.knowledge.minilm import MiniLM, offline_folder
from copilot.knowledge.retriever import IndexRetriever
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.types import Chunk
from copilot.work import Work

MEANT = {"spin": "turn", "rotate": "turn", "drop": "delete", "remove": "delete"}  # one vector for both
PASSAGES = ["rotate the wheel", "remove the wheel", "paint the wheel", "wheel wheel wheel"]


class Meanings:
    """A real embedder to which whole texts are alike, and words that mean the same."""

    late = True

    def encode_documents(self, texts: list[str]) -> list[tuple[list[float], np.ndarray]]:
        return [([1.0, 1.0], passage_tokens(self._said(text))) for text in texts]

    def encode_queries(self, texts: list[str]) -> list[tuple[list[float], np.ndarray]]:
        return [([1.0, 1.0], question_tokens(self._said(text))) for text in texts]

    def _said(self, text: str) -> np.ndarray:
        words = [MEANT.get(word, word) for word in text.rstrip("?").split()]
        return np.array(
            [np.append(np.random.default_rng(sum(map(ord, word))).normal(size=24), 0) for word in words],
            dtype=np.float32,
        )


def retriever(**settings: object) -> IndexRetriever:
    embedder = Meanings()
    chunks = [Chunk("a.md", "", "", None, n, n + 1, text) for n, text in enumerate(PASSAGES)]
    index = Index.build(chunks, embedder, 3)  # type: ignore[arg-type]
    return IndexRetriever(index, embedder, Retriever.model_validate(settings))  # type: ignore[arg-type]


def first(retrieve: IndexRetriever, question: str) -> str:
    return retrieve(question)[0].chunk.text


def test_each_token_looks_for_the_one_most_like_it() -> None:
    said = np.array([[3.0, 4, 0], [0, 2, 0]], dtype=np.float32)
    passage = passage_tokens(said)
    assert passage.tolist() == [[76, 102], [0, 127]] and passage.dtype == np.int8
    question = question_tokens(np.array([[0, 1, 0], [1, 0, 0]], dtype=np.float32))
    assert question == pytest.approx(np.array([[0, 0.5], [0.5, 0]])), "even weights that sum to 1"
    tokens = Tokens.of([passage, passage[:1]])
    assert tokens.found(question, [0, 1]) == pytest.approx([0.5 + 0.5 * 76 / 127, 0.5 * (102 + 76) / 127])
    heavy = question_tokens(np.array([[0, 1, 9], [1, 0, -9]], dtype=np.float32))
    assert np.linalg.norm(heavy, axis=1) == pytest.approx([1, 0], abs=1e-3)
    ones = np.ones(2, dtype=np.float32)
    assert score(ones, ones) == pytest.approx([1, 1]) and score(-ones, -ones) == pytest.approx([-1, -1])


def test_other_words_for_the_same_thing_are_found_where_nothing_else_tells() -> None:
    retrieve = retriever(k=4)
    assert first(retrieve, "spin") == PASSAGES[0] and first(retrieve, "drop") == PASSAGES[1]
    assert len(retrieve("spin")) == 4
    many = [Chunk("a.md", "", "", None, n, n + 1, text) for n, text in enumerate(PASSAGES * 8)]
    index = Index.build(many, retrieve.embeddings, 3)
    assert len({hit.chunk.start for hit in replace(retrieve, index=index, config=Retriever(k=30))("spin")}) == 30
    for mode in ("dense", "lexical"):
        assert first(retriever(k=1, mode=mode), "spin") == PASSAGES[0] == first(retriever(k=1, mode=mode), "drop"), mode


def test_the_evidence_is_what_the_nearest_passage_says_of_the_question() -> None:
    retrieve = retriever(k=1)
    (near,), (half,), (far,) = (retrieve.evidence(question) for question in ("spin wheel", "spin egg", "boil egg"))
    assert near == pytest.approx(1, abs=0.01) and far < half < near
    retrieve.embed(["spin wheel", "boil egg"], 8)
    assert retrieve.evidence("boil egg") == (far,)
    floor = learn([(0.8 + n / 1000,) for n in range(40)] + [(0.3,)] * 12, [True] * 40 + [False] * 12)
    refused = floor.judge((0.25,))
    assert refused and refused.reason.startswith("the nearest passage scores 0.25; of 40 questions with")
    assert floor.judge((0.82,)) is None


def test_an_index_keeps_them(tmp_path: Path) -> None:
    retrieve = retriever(k=4)
    retrieve.index.save(tmp_path / "index", {})
    loaded, _ = Index.load(tmp_path / "index", "run copilot index")
    again = IndexRetriever(loaded, retrieve.embeddings, retrieve.config)
    assert again("drop wheel") == retrieve("drop wheel") and again.evidence("spin") == retrieve.evidence("spin")
    assert isinstance(loaded.tokens and loaded.tokens.vectors, np.memmap)
    for name in ("tokens.npy", "token_starts.npy"):
        file = tmp_path / "index" / name
        whole = file.read_bytes()
        for broken in (whole[:-1] + b"x", b"x" * len(whole)):
            file.write_bytes(broken)
            with pytest.raises(StaleError, match=f"{name} is damaged"):
                Index.load(tmp_path / "index", "run copilot index")
        file.write_bytes(whole)
    file.unlink()
    with pytest.raises(StaleError, match=f"{name} is missing or damaged"):
        Index.load(tmp_path / "index", "run copilot index")


@pytest.fixture(scope="module")
def tuned() -> MiniLM:
    found = load_embeddings(Embeddings(model="offline:all-MiniLM-L6-v2", adapter=str(ADAPTER)))
    assert isinstance(found, MiniLM) and found.late
    return found


def test_the_shipped_adapter_says_of_tokens_what_peft_and_its_projection_say(tuned: MiniLM) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertModel

    folder = offline_folder("all-MiniLM-L6-v2")
    bert = PeftModel.from_pretrained(BertModel.from_pretrained(folder, add_pooling_layer=False), str(ADAPTER)).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        states = bert(**inputs).last_hidden_state[0]
        said = (states @ load_file(ADAPTER / "adapter_tokens.safetensors")["projection"].float().T).numpy()
    (vector, tokens), (_, asked) = tuned.encode_documents([TEXTS[0]])[0], tuned.encode_queries([TEXTS[0]])[0]
    assert np.abs(tokens - passage_tokens(said)).max() <= 1 and np.allclose(asked, question_tokens(said), atol=1e-4)
    assert np.allclose(vector, tuned.embed_documents([TEXTS[0]])[0])
    assert np.linalg.norm(asked, axis=1).sum() == pytest.approx(1)


def test_a_text_of_many_windows_has_the_tokens_of_all(tuned: MiniLM) -> None:
    ((_, tokens),) = tuned.encode_documents(["refund an invoice " * 200])
    assert len(tokens) > 600 and tokens.shape[1] == 32


def test_an_answer_in_other_words_outweighs_a_neighbour(tuned: MiniLM) -> None:
    passages = [
        "Invoices › Cancel an invoice\nMarks an unpaid invoice as void.",
        "Invoices › List\nGives all invoices.",
    ]
    index = Index.build([Chunk("a.md", "", "", None, n, n + 1, text) for n, text in enumerate(passages)], tuned, 2)
    retrieve = IndexRetriever(index, tuned, Retriever(k=2))
    assert retrieve("How do I get rid of a bill nobody has paid?")[0].chunk.text == passages[0]
    (right,), (wrong,) = (retrieve.evidence(f"How do I {what} an invoice?") for what in ("cancel", "print"))
    assert right > wrong


def test_a_projection_that_does_not_fit_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import save_file

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for file in ADAPTER.glob("adapter_*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = Embeddings(model="offline:all-MiniLM-L6-v2", adapter=str(tmp_path))
    save_file({"projection": np.zeros((33, 8), dtype=np.float16)}, tmp_path / "adapter_tokens.safetensors")
    with pytest.raises(CopilotError, match=r"does not fit: \(33, 8\), not \(2 or more, 384\)"):
        load_embeddings(config)
    (tmp_path / "adapter_tokens.safetensors").write_bytes(b"{}")
    with pytest.raises(CopilotError, match=r"adapter_tokens\.safetensors: cannot be loaded"):
        load_embeddings(config)


def test_without_rows_of_its_own_a_run_refuses_by_what_came_with_the_adapter(tmp_path: Path) -> None:
    make_project(tmp_path)
    sets = [f"embeddings.adapter={ADAPTER}"]
    config, console = load_config(tmp_path / "copilot.yaml", sets), Console()
    run_index(config, console)
    doubt = open_doubt(Work(config), open_retriever(config, ""), console.say)
    assert doubt is not None and console.said[-1].startswith("abstention: learnt on other documents: what is far from")
    assert doubt("How do I boil an egg?") is not None and doubt("How do I ring the bell?") is None
    kept = json.loads((Work(config).folder / "abstention.json").read_text(encoding="utf-8"))
    assert kept["floor"] == json.loads((ADAPTER / "abstention.json").read_text(encoding="utf-8"))["floor"]
    plain, console = load_config(tmp_path / "copilot.yaml", ["run.name=plain"]), Console()
    run_index(plain, console)
    doubt = open_doubt(Work(plain), open_retriever(plain, ""), console.say)
    assert doubt is not None and doubt("How do I boil an egg?") is None, "cosines do not compare"
