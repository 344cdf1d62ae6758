"""A question and passages in; what the cross-encoder says of each, and the order and evidence that follow, out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_index import Console, make_project

from copilot.abstention import open_floor
from copilot.config import Embeddings, Retriever
from copilot.errors import CopilotError
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.onnx_encoder import HEAD
from copilot.knowledge.reranker import LIMIT, READ, Reranker, open_reranker
from copilot.knowledge.retriever import IndexRetriever
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.types import Chunk, Hit
from copilot.work import Work

RERANKER = Path(__file__).parents[1] / "data" / "models" / "reranker"
VOID = "Invoices › Cancel an invoice\n`POST /invoices/{id}/void` marks an unpaid invoice as void. It cannot be undone."
LIST = "Invoices › List invoices\n`GET /invoices` gives all invoices. `status` chooses those of one state."
RENAME = "Contacts › Rename a contact\n`PATCH /contacts/{id}` changes the name under which a contact is kept."
PASSAGES = [LIST, RENAME, VOID]


@pytest.fixture(scope="module")
def shipped() -> Reranker:
    return Reranker(RERANKER)


class Words:
    """A real embedder to which all texts are alike."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    embed_queries = embed_documents


def retriever(reranker: Reranker | None, k: int = 3) -> IndexRetriever:
    chunks = [Chunk("a.md", "", "", None, n, n + 1, text) for n, text in enumerate(PASSAGES)]
    index = Index.build(chunks, Words(), 3)  # type: ignore[arg-type]
    return IndexRetriever(index, Words(), Retriever(k=k), reranker=reranker)  # type: ignore[arg-type]


def test_what_answers_is_told_from_its_neighbours(shipped: Reranker) -> None:
    logits = shipped.logits("A customer was billed by mistake. How do I make that bill invalid?", PASSAGES)
    assert logits.dtype == np.float32 and logits.argmax() == 2 and logits[2] > 0 > max(logits[:2]), logits
    (gone,) = shipped.logits("Can I delete a contact for good?", [RENAME])
    (told,) = shipped.logits("Can I give a contact another name?", [RENAME])
    assert told > 0 > gone


def test_it_says_what_peft_and_its_head_say(shipped: Reranker) -> None:
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, BertModel

    from copilot.knowledge.minilm import offline_folder

    folder, question = offline_folder("all-MiniLM-L6-v2"), "How do I cancel a bill?"
    bert = PeftModel.from_pretrained(BertModel.from_pretrained(folder, add_pooling_layer=False), str(RERANKER)).eval()
    head = {name: weight.float() for name, weight in load_file(RERANKER / HEAD).items()}
    inputs = AutoTokenizer.from_pretrained(folder)([question] * 3, PASSAGES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        first = bert(**inputs).last_hidden_state[:, 0]
        dense = torch.tanh(first @ head["dense.weight"].T + head["dense.bias"])
        theirs = (dense @ head["out.weight"].T + head["out.bias"])[:, 0].clamp(-LIMIT, LIMIT)
    assert shipped.logits(question, PASSAGES) == pytest.approx(theirs.numpy(), abs=1e-3)


def test_texts_of_any_length_are_read_and_pairs_are_remembered(shipped: Reranker) -> None:
    question = "How do I cancel a bill?"
    logits = shipped.logits("", ["", VOID * 40, "é 你好"])
    assert np.isfinite(logits).all() and (abs(logits) <= LIMIT).all()
    cut = shipped.tokenizer.decode(shipped.tokenizer.encode(VOID * 40).ids[1:READ])
    long, same = shipped.logits(question, [VOID * 40, cut])
    assert long == pytest.approx(same, abs=0.5), "what stands beyond the window is not read"
    assert np.isfinite(shipped.logits("why " * 400, [VOID]))
    first = shipped.logits(question, PASSAGES)
    session, shipped.session = shipped.session, None
    try:
        assert (shipped.logits(question, PASSAGES) == first).all() and shipped.session is None
    finally:
        shipped.session = session
    assert shipped.logits(question, []).shape == (0,)


def test_hits_come_in_its_order_and_its_word_is_the_evidence(shipped: Reranker) -> None:
    question = "A customer was billed by mistake. How do I make that bill invalid?"
    plain, read = retriever(None)(question), retriever(shipped)(question)
    assert [hit.logit for hit in plain] == [None] * 3
    assert read[0].chunk.text == VOID and {hit.chunk for hit in read} == {hit.chunk for hit in plain}
    assert [hit.fit for hit in read] == sorted((hit.fit for hit in read), reverse=True)
    assert all(hit.score == pytest.approx(1) for hit in read), "a hit's score stays the cosine"
    assert retriever(shipped).evidence(question) == (read[0].fit,)
    (far,) = retriever(shipped).evidence("How many eggs are in a cake?")
    assert far < read[0].fit
    assert len(retriever(shipped, k=1)(question)) == 1, "only hits are read"


def test_how_well_a_hit_fits() -> None:
    hit = Hit(Chunk("a.md", "", "", None, 0, 1, "x"), 0.6)
    assert hit.fit == pytest.approx(0.3) and replace(hit, late=0.4).fit == pytest.approx(0.4)
    assert replace(hit, late=0.4, logit=2.0).fit == pytest.approx(0.46)
    assert replace(hit, logit=-2.0).fit < hit.fit


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import save_file

    def refused(match: str) -> None:
        with pytest.raises(CopilotError, match=match) as caught:
            Reranker(tmp_path)
        assert "retriever.reranker" in caught.value.hint

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refused(f"no {HEAD} in it")
    (tmp_path / HEAD).write_bytes((RERANKER / HEAD).read_bytes())
    refused(r"no adapter_model\.safetensors in it")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).write_bytes((RERANKER / name).read_bytes()[:200])
    refused("does not fit")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).write_bytes((RERANKER / name).read_bytes())
    save_file({"dense.weight": np.zeros((8, 8), dtype=np.float16)}, tmp_path / HEAD)
    refused(f"{HEAD}: does not fit")
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_a_run_reads_with_it_and_counts_it_by_its_content(tmp_path: Path) -> None:
    embeddings = Embeddings(model="offline:all-MiniLM-L6-v2", adapter=str(RERANKER.with_name("embedder")))
    parts = {"embeddings": embeddings, "retriever": Retriever(reranker=str(RERANKER))}
    config = make_project(tmp_path).model_copy(update=parts)
    run_index(config, Console())
    retrieve = open_retriever(config, "")
    assert retrieve.reranker is open_reranker(str(RERANKER)), "one for all stages of a process"
    assert all(hit.logit is not None and hit.late is not None for hit in retrieve("How do I make a bill invalid?"))

    copy = tmp_path / "copy"
    copy.mkdir()
    for file in RERANKER.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    moved = config.model_copy(update={"retriever": Retriever(reranker=str(copy))})
    without = config.model_copy(update={"retriever": Retriever()})
    keys = [[Work(c).key(stage) for stage in ("train", "abstention")] for c in (config, moved, without)]
    assert keys[0] == keys[1] and set(keys[0]).isdisjoint(keys[2])
    (copy / HEAD).write_bytes(b"other")
    assert Work(moved).key("train") != keys[1][0]
    said: list[str] = []
    assert Work(config).shipped_floor == RERANKER / "abstention.json"
    assert open_floor(Work(config), retrieve, said.append).trusted and "learnt on other documents" in said[0]


def test_no_tokens_are_needed() -> None:
    embeddings = load_embeddings(Embeddings(model="offline:all-MiniLM-L6-v2"))
    chunks = [Chunk("a.md", "", "", None, n, n + 1, text) for n, text in enumerate(PASSAGES)]
    retrieve = IndexRetriever(Index.build(chunks, embeddings, 3), embeddings, Retriever(), reranker=Reranker(RERANKER))
    best = retrieve("A customer was billed by mistake. How do I make that bill invalid?")[0]
    assert best.chunk.text == VOID and best.late is None and best.logit is not None
