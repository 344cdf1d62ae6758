"""The pretraining generator and the shipped tiny model: deterministic, grounded, loadable, and as the card says."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "data" / "models" / "tiny"
sys.path.insert(0, str(ROOT / "tools" / "pretrain"))

import asked  # noqa: E402
import generator  # noqa: E402
import pages  # noqa: E402
import real  # noqa: E402

from copilot.config import SECTIONS  # noqa: E402


@pytest.fixture(scope="module")
def samples() -> list[generator.Sample]:
    return list(islice(generator.stream(11), 150))


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(TINY)


def test_the_same_seed_gives_the_same_examples(samples: list[generator.Sample]) -> None:
    assert list(islice(generator.stream(11), 150)) == samples
    assert list(islice(generator.stream(12), 5)) != samples[:5]


def test_every_name_in_an_answer_stands_in_its_context(samples: list[generator.Sample]) -> None:
    for s in samples:
        assert all(name in s.context for name in re.findall(r"`([^`]+)`", s.answer))


def test_answers_have_the_four_parts_in_order(samples: list[generator.Sample]) -> None:
    for s in samples:
        blocks = s.answer.split("\n\n")
        assert [block.split("\n")[0] for block in blocks] == list(s.headings)
        assert all(block.split("\n", 1)[1].strip() for block in blocks)
        assert not set(s.headings) & {f"### {title}" for title in SECTIONS}


def test_unanswerable_questions_are_refused_without_names(samples: list[generator.Sample]) -> None:
    refused = [s for s in samples if not s.answerable]
    assert 0.02 < len(refused) / len(samples) < 0.2
    for s in refused:
        assert generator.ABSTAIN in s.answer and "`" not in s.answer


def test_real_operations_and_pages_become_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ["BoxName", "string", "Name of the box that is moved", True, "", "", "path"]
    ops = [
        {"name": f"{verb}Box", "call": f"{method} /boxes/{{BoxName}}", "fields": [row], "returns": [], "errors": []}
        | {"doc": [f"{verb}s a box of the attic.", f"You must own the attic before you {verb.lower()} its boxes."]}
        for verb, method in (("Get", "GET"), ("Delete", "DELETE"), ("Create", "POST"))
    ]
    said = "# Attic\n\nThe attic keeps up to twelve boxes. It must be dry before a box is stored there.\n\n"
    moving = "## Moving\n\nA box is moved by its owner only. Nobody else may ever open it.\n"
    page = pages.cut("attic.md", said + moving * 19)
    for name, value in (("APIS", {"apis": [["Attic", ops]], "synonyms": {"box": ["crate"]}}), ("PAGES", [page])):
        (tmp_path / name).write_text(json.dumps(value))
        monkeypatch.setenv(f"TINY_{name}", str(tmp_path / name))
    for cached in (real.pool, pages.pool):
        cached.cache_clear()
    try:
        made = list(islice(generator.stream(3), 200))
    finally:
        monkeypatch.undo()
        real.pool.cache_clear()
        pages.pool.cache_clear()
    assert sum("attic" in s.context.lower() for s in made) > 60
    assert any("/boxes" in s.call for s in made) and any("moved by its owner" in s.answer for s in made)
    for s in made:
        assert all(name in s.context for name in re.findall(r"`([^`]+)`", s.answer))


def test_written_questions_are_answered_from_the_right_passage_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = "## Move a box\n\n`POST /boxes/{boxId}/move` moves a box to another shelf. The box must be closed first.\n\n"
    move += "| Field | Description |\n|---|---|\n| `shelfCode` | The shelf that the box goes to. |"
    passages = [
        ["Attic › Move a box", move],
        ["Attic › Burn a box", "## Burn a box\n\n`DELETE /boxes/{boxId}` burns a box. It is gone for ever after that."],
        ["Attic › About", "## About\n\nThe attic keeps up to twelve boxes. It must be dry before a box is stored."],
    ]
    rows = [["Can a carton go elsewhere?", [0], passages], ["How do I get a burnt box back?", [], passages[::-1]]]
    (tmp_path / "asked.json").write_text(json.dumps(rows))
    monkeypatch.setenv("TINY_ASKED", str(tmp_path / "asked.json"))
    for cached in (asked.pool, asked.bodies):
        cached.cache_clear()
    try:
        drawn = [asked.draw(random.Random(seed)) for seed in range(300)]
        made = [s for s in islice(generator.stream(5), 300) if "Attic" in s.context]
    finally:
        monkeypatch.undo()
        for cached in (asked.pool, asked.bodies):
            cached.cache_clear()
    answered = [row for row in drawn if row and row[3]]
    assert 0.02 < sum(row[3] is None for row in drawn if row) / len(drawn) < 0.2
    assert all([row[1][place][0] for place in row[2]] == ["Attic › Move a box"] for row in answered)
    assert {"Call `POST /boxes/{boxId}/move`."} == {row[3][1].split("\n")[0] for row in answered}
    assert all("burn" not in " ".join(row[3]).lower() for row in answered)
    renamed = [row for row in answered if "shelfCode" not in row[1][row[2][0]][1]]
    assert 60 < len(renamed) < 150 and all("shelfCode" not in " ".join(row[3]) for row in renamed)
    assert any(row[2] != [0] for row in answered)
    assert 40 < len(made) < 120  # about a quarter of all examples
    for s in made:
        assert all(name in s.context for name in re.findall(r"`([^`]+)`", s.answer))
        assert not s.answerable or "/move`" in s.answer


def test_the_model_folder_loads_and_is_small() -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY)
    assert model.config.model_type == "llama" and model.generation_config.eos_token_id == 2
    assert sum(f.stat().st_size for f in TINY.iterdir()) < 48 * 2**20


def test_the_prompt_is_a_prefix_of_prompt_and_answer(samples: list[generator.Sample], tokenizer) -> None:
    for s in samples[:20]:
        messages = [{"role": "system", "content": generator.SYSTEM}, {"role": "user", "content": s.user}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": s.answer}], tokenize=False)
        assert whole == prompt + s.answer + tokenizer.eos_token
        assert prompt == tokenizer.bos_token + s.prompt
        short, long = tokenizer(prompt)["input_ids"], tokenizer(whole)["input_ids"]
        assert long[: len(short)] == short and short.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    "name", ["maxRetryCount", "max_retry_count", "MAX-RETRY", "GET /v2/orders/{orderId}", "zorvik.ttl9"]
)
def test_a_name_has_one_tokenisation_everywhere(tokenizer, name: str) -> None:
    alone = tokenizer.tokenize(name)
    for before, after in (("`", "`"), ("Use ", " now"), ("\n- `", "`: x"), ("| ", " |"), ('"', '":')):
        got = tokenizer.tokenize(before + name + after)
        assert got[len(tokenizer.tokenize(before)) :][: len(alone)] == alone


def test_the_card_names_these_weights() -> None:
    digest = hashlib.sha256((TINY / "model.safetensors").read_bytes()).hexdigest()
    assert digest in (TINY / "README.md").read_text(encoding="utf-8")
