"""data/sft/tiny.jsonl: what the script makes, in the agreed form, copied from the sections it names."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SFT = ROOT / "data" / "sft"
TITLES = ("Summary", "How it works", "Key parameters / fields", "Common mistakes or troubleshooting tips")
NO_WARNING = "The documents name no special warning for this."
FRAME = re.compile(r"(?:Call|Use) `|Put `|Give `|The answer holds `|This is about `|It is used with `|`[^`]+` means: ")


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SFT / name).read_text(encoding="utf-8").splitlines()]


ROWS = read("tiny.jsonl")
ANSWERS = [row for row in ROWS if row["answerable"]]


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The script and its reader of sections."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import make_tiny_rows
        import tiny_sections

        yield make_tiny_rows, tiny_sections
    finally:
        sys.path.remove(str(ROOT / "tools"))
        for name in ("make_tiny_rows", "tiny_sections"):
            sys.modules.pop(name, None)


def parts(row: dict[str, Any]) -> list[str]:
    return [part.strip() for part in re.split(r"(?m)^### .*$", row["response"])[1:]]


def sentences(text: str) -> list[str]:
    text = re.sub(r"(?m)^- ", "", text)
    return [s for line in text.splitlines() for s in re.split(r"(?<=[.!?]) +", line.strip()) if s]


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").split()).lower()


def test_shipped_file_is_what_the_script_makes(made: tuple[ModuleType, ModuleType]) -> None:
    script, _ = made
    text = (SFT / "tiny.jsonl").read_text(encoding="utf-8")
    assert script.make(SFT / "train.jsonl") == text, "run tools/make_tiny_rows.py"


def test_rows_are_those_of_train_with_another_response() -> None:
    train = {row["id"]: row for row in read("train.jsonl")}
    for row in ROWS:
        assert {**row, "response": ""} == {**train[row["id"]], "response": ""}
    assert len({row["id"] for row in ROWS}) == len(ROWS) >= 150
    assert 0.04 <= sum(not row["answerable"] for row in ROWS) / len(ROWS) <= 0.06


def test_four_headings_and_a_fair_length() -> None:
    for row in ROWS:
        assert re.findall(r"(?m)^### (.*)$", row["response"]) == list(TITLES), row["id"]
        assert all(parts(row)), row["id"]
        assert "\n\n\n" not in row["response"] and len(re.findall("\n\n", row["response"])) == 3, row["id"]
        assert 40 <= len(row["response"].split()) <= 170, row["id"]


def test_bullets_name_fields() -> None:
    for row in ANSWERS:
        bullets = parts(row)[2].splitlines()
        assert 2 <= len(bullets) <= 5, row["id"]
        assert all(re.match(r"- `[^`]+`: \S", line) for line in bullets), row["id"]


def test_no_sentence_is_long_or_said_twice() -> None:
    for row in ANSWERS:
        said = [s for part in parts(row) for s in sentences(part)]
        assert len(said) == len(set(said)), row["id"]
        assert all(len(s) <= 200 for s in said), row["id"]


def test_names_in_backticks_stand_in_the_section(made: tuple[ModuleType, ModuleType]) -> None:
    _, reader = made
    for row in ANSWERS:
        text = reader.section(row["source"]["document"], row["source"]["heading"]).text
        assert row["response"].count("`") % 2 == 0, row["id"]
        for name in re.findall(r"`([^`]+)`", row["response"]):
            assert name in text.replace("`", ""), f"{row['id']}: {name}"


def test_sentences_and_descriptions_are_copied(made: tuple[ModuleType, ModuleType]) -> None:
    _, reader = made
    for row in ANSWERS:
        text = plain(reader.section(row["source"]["document"], row["source"]["heading"]).text)
        summary, how, bullets, warnings = parts(row)
        for sentence in sentences(f"{summary}\n{how}\n{warnings}"):
            if not FRAME.match(sentence) and sentence != NO_WARNING:
                assert plain(sentence).rstrip(".") in text, f"{row['id']}: {sentence}"
        for line in bullets.splitlines():
            words = re.sub(r"; (?:required|default \S+)(?=;|$)", "", line.split("`: ", 1)[1])
            pieces = [words] if plain(words) in text else words.split(": ", 1)  # a cell after the word above it
            assert all(plain(piece) in text for piece in pieces), f"{row['id']}: {line}"


def test_unanswerable_rows_say_so_and_name_nothing() -> None:
    for row in ROWS:
        if not row["answerable"]:
            assert parts(row)[0].startswith("The documents do not say"), row["id"]
            assert "`" not in row["response"], row["id"]
            assert parts(row)[2] == "- No fields are documented for this question.", row["id"]
