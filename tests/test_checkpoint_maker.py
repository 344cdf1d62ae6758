"""Small shapes in; checkpoints, and the parts of the chain that a GPU machine runs over them, out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import make_checkpoint as maker
import open_adapter as opener
import pytest
from azure_server import AzureServer, vector
from json_server import running

from copilot.config import Embeddings, Model
from copilot.errors import CopilotError
from copilot.knowledge.embeddings import load_embeddings
from copilot.model.load import load_model, load_tokenizer, quiet_libraries

ROOT = Path(__file__).resolve().parent.parent

VOCAB = 3000
SMALL = ["--layers", "2", "--hidden", "32", "--heads", "4", "--kv-heads", "2", "--head-dim", "8", "--ffn", "48"]


def make(folder: Path, *more: str) -> Path:
    command = [sys.executable, str(ROOT / "benchmarks" / "make_checkpoint.py"), str(folder), *SMALL]
    done = subprocess.run([*command, "--vocab", str(VOCAB), *more], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    quiet_libraries()
    return make(tmp_path_factory.mktemp("checkpoint"), "--text", "0.4")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_the_shape_is_llama_3_2_1b() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**maker.config_of(maker.Shape()))
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    expected = {name: tuple(w.shape) for name, w in model.state_dict().items() if name != "lm_head.weight"}
    assert dict(maker.weight_shapes(maker.Shape())) == expected
    assert sum(p.numel() for p in model.parameters()) == 1_235_814_400
    rope = config.rope_parameters
    assert (rope["rope_theta"], rope["factor"], rope["original_max_position_embeddings"]) == (500000.0, 32.0, 8192)


def test_special_tokens_are_llama_3s() -> None:
    known = {
        128000: "<|begin_of_text|>",
        128001: "<|end_of_text|>",
        128002: "<|reserved_special_token_0|>",
        128004: "<|finetune_right_pad_id|>",
        128005: "<|reserved_special_token_2|>",
        128006: "<|start_header_id|>",
        128007: "<|end_header_id|>",
        128008: "<|eom_id|>",
        128009: "<|eot_id|>",
        128010: "<|python_tag|>",
        128011: "<|reserved_special_token_3|>",
        128255: "<|reserved_special_token_247|>",
    }
    listed = maker.special_tokens()
    assert len(set(listed)) == 256
    assert {i: listed[i - 128000] for i in known} == known


def test_the_folder_opens_as_a_base_model(folder: Path) -> None:
    loaded = load_model(Model(name=str(folder), backend="transformers", load_in_4bit=False, dtype="bfloat16"))
    assert loaded.model.config.vocab_size == VOCAB
    assert loaded.model.generation_config.eos_token_id == loaded.tokenizer.eos_token_id == VOCAB - 255
    assert loaded.tokenizer.bos_token_id == VOCAB - 256
    assert "chat_template" not in (folder / "tokenizer_config.json").read_text(encoding="utf-8")
    assert not list(folder.glob("*.jinja"))
    made = weights(folder)
    assert made.keys() == dict(maker.weight_shapes(maker.Shape(layers=2))).keys()
    assert float(made["model.embed_tokens.weight"].float().std()) == pytest.approx(0.02, rel=0.02)
    assert bool((made["model.norm.weight"] == 1).all())


def test_text_comes_back_and_ids_are_dense(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert sorted(tokenizer.get_vocab().values()) == list(range(VOCAB))
    document = (ROOT / "data" / "knowledge_base" / "messaging" / "contacts.md").read_text(encoding="utf-8")
    for text in (document, "naïve façade 🙂 日本語\t`GET /a/{b}`\r\n\r\n  12345", ""):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids) == text
        assert all(i < VOCAB - 256 for i in ids)
    assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    spoken = tokenizer.encode("<|eot_id|>", add_special_tokens=False)
    assert spoken == [VOCAB - 256 + 9]


def test_entries_that_fill_the_vocabulary_change_no_text() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    short = maker.train_tokenizer(3000, 20_000)
    long = maker.train_tokenizer(40_000, 20_000)  # far more entries than so little text has merges
    assert long.get_vocab_size() == 40_000
    merges = len(json.loads(long.to_str())["model"]["merges"])
    assert merges < 40_000 - 256 - 256
    assert long.decode(long.encode(text, add_special_tokens=False).ids) == text
    assert max(long.encode(text, add_special_tokens=False).ids) < 256 + merges
    first = short.encode(text[:400], add_special_tokens=False).tokens
    assert "".join(first) == "".join(long.encode(text[:400], add_special_tokens=False).tokens)


def test_answers_can_be_held_to_a_grammar(folder: Path) -> None:
    import numpy as np

    from copilot.model.constrain import Masks, Vocabulary
    from copilot.prompt.grammar import answer_grammar

    tokenizer = load_tokenizer(folder)
    vocabulary = Vocabulary(tokenizer, VOCAB, {tokenizer.eos_token_id})
    masks = Masks(vocabulary, [answer_grammar(["Summary", "Use"], ["contactId"])], 2, [100])
    bits = np.zeros((1, -(-VOCAB // 32)), np.int32)

    def allowed() -> Any:
        masks.fill([(0, 0)], bits)
        return np.unpackbits(bits.view(np.uint8), bitorder="little")[:VOCAB]

    for token in tokenizer.encode("### Summary\nSend `contactId`.\n\n### Use\nOnce.", add_special_tokens=False):
        assert allowed()[token], tokenizer.decode([token])
        assert allowed().sum() < VOCAB
        masks.take(0, token)
    assert allowed()[tokenizer.eos_token_id]


def test_a_made_tokenizer_is_taken_and_a_seed_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    made = make(tmp_path / "again", "--tokenizer", str(folder / "tokenizer.json"))
    assert (made / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert (made / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    other = make(tmp_path / "other", "--tokenizer", str(folder / "tokenizer.json"), "--seed", "1")
    assert (other / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_the_tokenizer_alone(tmp_path: Path, folder: Path) -> None:
    made = make(tmp_path / "alone", "--tokenizer", str(folder / "tokenizer.json"), "--tokenizer-only")
    assert not (made / "model.safetensors").exists()
    assert load_tokenizer(made).pad_token == "<|finetune_right_pad_id|>"


def test_the_server_speaks_azures_protocol(no_keys: pytest.MonkeyPatch) -> None:
    """Through the real client: batches, words in common, and a wrong key told as Azure tells it."""
    no_keys.setenv("OPENAI_API_VERSION", "2024-10-21")
    with running(AzureServer()) as azure:
        no_keys.setenv("AZURE_OPENAI_ENDPOINT", azure.url)
        no_keys.setenv("AZURE_OPENAI_API_KEY", azure.key)
        client = load_embeddings(Embeddings(model="azure_openai:text-embedding-3-small"))
        near, far, question = client.embed_documents(["Delete a contact", "Clear cells", "how to delete contact"])
        assert (len(near), azure.texts, azure.requests) == (1536, 3, 1)
        assert near == pytest.approx(vector("Delete a contact").tolist())
        assert dot(near, question) > 0.3 > dot(far, question)
        no_keys.setenv("AZURE_OPENAI_API_KEY", "wrong")
        with pytest.raises(CopilotError, match="401: Access denied"):
            load_embeddings(Embeddings(model="azure_openai:text-embedding-3-small")).embed_query("a")
        no_keys.setenv("AZURE_OPENAI_API_KEY", azure.key)
        with pytest.raises(CopilotError, match="404: The API deployment"):
            load_embeddings(Embeddings(model="azure_openai:another")).embed_query("a")


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_a_failed_part_does_not_stop_the_others(tmp_path: Path) -> None:
    """A checkpoint that is not there: each part says why in one line and its tail, and the exit code is 1."""
    script = str(ROOT / "benchmarks" / "gpu_chain.py")
    command = [sys.executable, script, str(tmp_path / "nothing"), str(tmp_path / "out"), "--cpu"]
    done = subprocess.run([*command, "--only", "original", "--only", "merged"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAIL  original" in done.stdout
    assert "no model folder at" in done.stdout
    assert "no pipeline left an adapter" in done.stdout
    assert (tmp_path / "out" / "chain.txt").read_text(encoding="utf-8") == done.stdout
    assert "$ python -m copilot.cli pipeline" in (tmp_path / "out" / "chain.log").read_text(encoding="utf-8")


def test_an_adapter_opens_by_peft_and_merges(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import LoraConfig, get_peft_model

    loaded = load_model(Model(name=str(folder), backend="transformers", load_in_4bit=False, dtype="float32"))
    tuned = get_peft_model(loaded.model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "adapter")
    loaded.tokenizer.save_pretrained(tmp_path / "adapter")
    found = []
    for by in ("peft", "merged"):
        flags = [str(tmp_path / "adapter"), str(tmp_path / "scores.npy"), "--by", by]
        monkeypatch.setattr(sys, "argv", ["open_adapter.py", *flags])
        opener.main()
        found.append(json.loads(capsys.readouterr().out))
    assert [one["modules"] for one in found] == [4, 4]
    assert found[0]["adapter_changes_scores_by"] > 0.001 > found[1]["largest_difference"]
    assert found[0]["answer"] == found[1]["answer"] == found[1]["merged"]
