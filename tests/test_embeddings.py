"""Texts in, vectors out: the packaged MiniLM, and the providers' real clients against a server on this machine."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from json_server import JsonServer, Request, embedded, refusal, running

from copilot.config import Embeddings
from copilot.errors import CopilotError
from copilot.knowledge.embeddings import load_embeddings, remote_endpoints
from copilot.knowledge.minilm import MiniLM, offline_folder

ADAPTER = Path(__file__).parents[1] / "data" / "models" / "embedder"
TEXTS = ["How do I get a contact by phone number?", "Rows are added at the bottom of the sheet.", "", "é 你好 `x_y`"]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM(offline_folder("all-MiniLM-L6-v2"))


def test_unit_vectors_of_384(minilm: MiniLM) -> None:
    vectors = np.array(minilm.embed_documents(TEXTS))
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], minilm.embed_query(TEXTS[0]), atol=1e-5)
    assert minilm.embed_documents([]) == []


def test_near_in_meaning_is_near_in_space(minilm: MiniLM) -> None:
    question = np.array(minilm.embed_query("How do I look up someone when I know the telephone number?"))
    phone, sheet, weather = np.array(
        minilm.embed_documents(["Find a contact by phone", "Append a row to the spreadsheet", "It will rain tomorrow"])
    )
    assert question @ phone > 0.4 > 0.3 > max(question @ sheet, question @ weather)


def test_the_same_as_sentence_transformers_on_short_text(minilm: MiniLM) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(offline_folder("all-MiniLM-L6-v2")), device="cpu").encode(
        TEXTS, normalize_embeddings=True
    )
    assert ((np.array(minilm.embed_documents(TEXTS)) * theirs).sum(1) > 0.999).all()


def test_no_token_of_a_long_text_is_left_out(minilm: MiniLM) -> None:
    filler, end = "The weather is fine today. " * 70, " Refund the invoice of the customer."
    before = minilm.long_texts
    plain, long = np.array(minilm.embed_documents([filler, filler + end * 20]))
    assert minilm.long_texts == before + 2
    refund = np.array(minilm.embed_query("refund an invoice"))
    assert refund @ long > refund @ plain + 0.1  # what stands far beyond the window is seen
    assert np.isclose(np.linalg.norm(long), 1, atol=1e-5)


def test_batches_make_no_difference(minilm: MiniLM) -> None:
    texts = [f"text number {n} " * (n + 1) for n in range(11)]
    alone = np.array([minilm.embed_query(text) for text in texts])
    assert np.allclose(alone, minilm.embed_documents(texts), atol=1e-5)


def test_an_adapter_is_merged_as_peft_merges_it(minilm: MiniLM) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer, BertModel

    folder = offline_folder("all-MiniLM-L6-v2")
    tuned = load_embeddings(Embeddings(model="offline:all-MiniLM-L6-v2", adapter=str(ADAPTER)))
    assert tuned.fingerprint.startswith(f"{minilm.fingerprint}:")
    bert = PeftModel.from_pretrained(BertModel.from_pretrained(folder, add_pooling_layer=False), str(ADAPTER)).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        theirs = bert(**inputs).last_hidden_state.mean(1)[0].numpy()
    ours = np.array(tuned.embed_query(TEXTS[0]))
    assert ours @ theirs / np.linalg.norm(theirs) > 0.9999
    assert ours @ np.array(minilm.embed_query(TEXTS[0])) < 0.99, "it changes something"


def test_an_adapter_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    def refused(model: str) -> str:
        with pytest.raises(CopilotError) as caught:
            load_embeddings(Embeddings(model=model, adapter=str(tmp_path), api_key="k", endpoint="http://127.0.0.1:1"))
        assert "embeddings.adapter" in caught.value.hint
        return caught.value.message

    assert refused("offline:all-MiniLM-L6-v2") == f"{tmp_path}: no adapter_model.safetensors in it"
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (tmp_path / name).write_bytes((ADAPTER / name).read_bytes()[:200])
    assert refused("offline:all-MiniLM-L6-v2").startswith(f"{tmp_path}: does not fit model: ")
    assert refused("openai:embed") == "embeddings.adapter: openai:embed runs elsewhere"


def test_a_local_folder_by_its_path(minilm: MiniLM) -> None:
    folder = offline_folder("all-MiniLM-L6-v2")
    config = Embeddings(model=f"huggingface:{folder}")
    assert remote_endpoints(config) == []
    assert np.allclose(load_embeddings(config).embed_query("x"), minilm.embed_query("x"), atol=1e-6)


def test_folders_that_cannot_be_loaded(tmp_path: Path) -> None:
    source = offline_folder("all-MiniLM-L6-v2")

    def refused() -> str:
        with pytest.raises(CopilotError) as caught:
            load_embeddings(Embeddings(model=f"huggingface:{tmp_path}"))
        assert caught.value.hint and str(tmp_path) in caught.value.message
        return caught.value.message

    assert "no safetensors weights" in refused()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04pickle")
    assert "no safetensors weights" in refused()
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:5000])
    for name in ("config.json", "modules.json", "sentence_bert_config.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_bytes((source / "1_Pooling/config.json").read_bytes())
    assert "no tokenizer.json" in refused()
    (tmp_path / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    assert "cannot be loaded" in refused()


def test_only_the_packaged_model_is_offline() -> None:
    with pytest.raises(CopilotError, match="only offline:all-MiniLM-L6-v2 is packaged"):
        load_embeddings(Embeddings(model="offline:other"))


@pytest.mark.parametrize("answers", [False, True])
def test_a_hub_name_without_network_is_one_sentence(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hub at the address, and one that takes the call and never answers."""
    import socket

    from huggingface_hub import constants

    import copilot.hub as hub

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if answers:
            deaf.listen(8)
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(hub.download, "__defaults__", (1.0,))  # s of patience
        began = time.monotonic()
        with pytest.raises(CopilotError) as caught:
            load_embeddings(Embeddings(model="huggingface:nobody/nothing-here"))
    assert time.monotonic() - began < 8
    assert "nobody/nothing-here: not in the local cache, and the hub cannot be reached" in caught.value.message
    assert "\n" not in caught.value.message and caught.value.hint


class Provider(JsonServer):
    """Speaks the embeddings protocol; a text's vector is (its length, 1, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []
        self.key = "right"
        self.left_out = 0  # vectors that are missing from each answer

    def answer(self, request: Request, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.seen.append({"path": request.path, "key": request.key, **body})
        if request.key != self.key:
            return refusal(401, "Access denied: wrong subscription key.")
        vectors = [np.array([len(text), 1, 0], dtype=np.float32) for text in body["input"][self.left_out :]]
        return 200, embedded(vectors, body, body.get("model", ""), count=1)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(Provider()) as server:
        yield server


def azure(server: Provider, **changes: Any) -> Embeddings:
    settings = {"model": "azure_openai:text-embedding-3-small", "api_key": "right", "api_version": "2024-10-21"}
    return Embeddings(**{**settings, "endpoint": server.url, "batch_size": 2, **changes})


def openai(server: Provider, **changes: Any) -> Embeddings:
    settings = {"model": "openai:text-embedding-3-small", "api_key": "right", "endpoint": f"{server.url}/v1"}
    return Embeddings(**{**settings, "batch_size": 2, **changes})


def test_azure_openai(provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    no_keys.setenv("OPENAI_API_BASE", "https://another.example/v1")  # another provider's setting makes no difference
    embedder = load_embeddings(azure(provider))
    vectors = embedder.embed_documents(["a", "bb", "ccc", "dddd", "eeeee"])
    assert [v[0] / v[1] for v in vectors] == pytest.approx([1, 2, 3, 4, 5])
    assert [r["input"] for r in provider.seen] == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]  # text, in batches
    deployment = "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21"
    assert {(r["path"], r["key"]) for r in provider.seen} == {(deployment, "right")}
    assert embedder.embed_query("four")[0] / embedder.embed_query("four")[1] == pytest.approx(4)
    assert remote_endpoints(azure(provider)) == [provider.url]


def test_openai(provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    vectors = load_embeddings(openai(provider)).embed_documents(["a", "bb", "ccc"])
    assert [v[0] for v in vectors] == pytest.approx([1, 2, 3])
    assert [r["input"] for r in provider.seen] == [["a", "bb"], ["ccc"]]
    assert {(r["path"], r["key"], r["model"]) for r in provider.seen} == {
        ("/v1/embeddings", "right", "text-embedding-3-small")
    }


@pytest.mark.parametrize("made", [azure, openai])
def test_settings_from_the_environment(made: Any, provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    name = "AZURE_OPENAI" if made is azure else "OPENAI"
    no_keys.setenv(f"{name}_API_KEY", "right")
    no_keys.setenv("AZURE_OPENAI_ENDPOINT" if made is azure else "OPENAI_BASE_URL", provider.url)
    no_keys.setenv("OPENAI_API_VERSION", "2024-02-01")
    config = made(provider, api_key=None, endpoint=None, api_version=None)
    assert remote_endpoints(config) == [provider.url]
    assert load_embeddings(config).embed_query("four")[0] == pytest.approx(4)
    assert provider.seen[0]["path"].endswith("?api-version=2024-02-01" if made is azure else "/embeddings")


@pytest.mark.parametrize("made", [azure, openai])
def test_a_wrong_key_is_one_sentence(made: Any, provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    embedder = load_embeddings(made(provider, api_key="wrong-secret"))
    with pytest.raises(CopilotError) as caught:
        embedder.embed_query("x")
    message = caught.value.message
    assert "text-embedding-3-small at http://127.0.0.1" in message
    assert "answers 401: Access denied: wrong subscription key." in message
    assert "\n" not in message and "wrong-secret" not in message and "key" in caught.value.hint
    assert len(provider.seen) == 1  # asking again would not help


def test_missing_settings_are_named(provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    def refused(config: Embeddings) -> CopilotError:
        with pytest.raises(CopilotError) as caught:
            load_embeddings(config)
        return caught.value

    both = refused(azure(provider, api_key=None, endpoint=None))
    assert "needs AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT, which" in both.message
    assert both.hint == "export AZURE_OPENAI_API_KEY=... AZURE_OPENAI_ENDPOINT=..."
    assert "needs AZURE_OPENAI_ENDPOINT, which" in refused(azure(provider, endpoint=None)).message
    assert "needs OPENAI_API_KEY, which" in refused(openai(provider, api_key=None)).message
    assert provider.seen == []


def test_too_few_vectors_are_refused(provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    embedder = load_embeddings(azure(provider))
    provider.left_out = 1
    with pytest.raises(CopilotError, match="gives 1 vectors for 2 texts"):
        embedder.embed_documents(["a", "bb"])
    with pytest.raises(CopilotError, match="gives no embeddings"):
        embedder.embed_query("a")


def test_nobody_at_the_endpoint(provider: Provider, no_keys: pytest.MonkeyPatch) -> None:
    provider.server_close()
    with pytest.raises(CopilotError, match="gives no embeddings: Connection error"):
        load_embeddings(azure(provider)).embed_query("a")
