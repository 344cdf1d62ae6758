"""The full chain on the shipped documents as a subprocess, cut short; then again, which does nothing."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from copilot.answering.identifiers import supported
from copilot.config import SECTIONS
from copilot.prompt.sections import parse
from copilot.runs import sha256_file

ROOT = Path(__file__).parent.parent
QUESTION = "How do I look up a contact when I only know the phone number?"
SHORT = ("retriever.k=2", "train.max_steps=8", "train.per_device_train_batch_size=1", "evaluation.limit=4")
SHORT += ("train.gradient_accumulation_steps=1", "train.data=train.jsonl", f"demo.questions=[{QUESTION!r}]")
ROWS = 40  # of the shipped training rows
pytestmark = pytest.mark.slow


def copilot(command: str, output: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program as people run it, from another folder than the repository's."""
    flags = ["-c", str(ROOT / "configs" / "tiny.yaml"), "--output-dir", str(output)]
    flags += [word for text in SHORT for word in ("--set", text.replace("=train.jsonl", f"={output / 'train.jsonl'}"))]
    line = [sys.executable, "-c", "from copilot.cli import main; main()", command, *arguments, *flags]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "OPENAI_"))}
    env |= {"HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    env |= {"OMP_NUM_THREADS": "1"}  # on a busy machine, more threads wait for each other far longer than they work
    return subprocess.run(line, capture_output=True, text=True, cwd=output, env=env, timeout=300, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The output folder after `copilot pipeline`, and what that said."""
    output = tmp_path_factory.mktemp("smoke")
    rows = (ROOT / "data" / "sft" / "tiny.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (output / "train.jsonl").write_text("".join(rows[:: len(rows) // ROWS]), encoding="utf-8")
    return output, copilot("pipeline", output)


def test_the_pipeline_runs_through(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    output, done = ran
    assert done.returncode == 0, done.stderr
    assert f"## {QUESTION}" in done.stdout and "Sources:" in done.stdout
    assert "Base and tuned" in done.stdout and "four sections" in done.stdout
    folder = output / "tiny"
    for name in ("index", "adapter", "evaluation.json", "demo.md", "run.json"):
        assert f"  {folder / name}" in done.stdout.splitlines()
        assert (folder / name).exists()
    for word in ("Traceback", "Warning", "UNEXPECTED", "Loading weights"):
        assert word not in done.stderr
    log = (folder / "adapter" / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["step"] == 8
    manifest = json.loads((folder / "adapter" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["loss_after"] < manifest["loss_before"] and manifest["adapter_norm"] > 0
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert len(evaluation["questions"]) == 4
    figures = {name: part for name, part in evaluation["summary"].items() if name != "change"}
    assert figures["base"]["structure"]["mean"] == 0  # an honest before: the base answers under other headings
    assert figures["served"]["structure"]["mean"] == 1  # by construction
    assert figures["served"]["identifier_precision"]["mean"] == 1
    assert all(part["recall_at_k"]["mean"] >= 0.5 for part in figures.values())
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    documents = ROOT / "data" / "knowledge_base"
    assert run["documents"] == {
        p.relative_to(documents).as_posix(): sha256_file(p) for p in documents.rglob("*") if p.is_file()
    }
    assert run["answers"][0]["adapter"] == run["adapter"]["fingerprint"]


def test_the_answer_has_the_four_headings_and_its_source(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    done = copilot("ask", ran[0], QUESTION, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [section["title"] for section in answer["sections"]] == list(SECTIONS)
    assert parse(answer["answer"], SECTIONS) is not None
    assert all(section["text"] for section in answer["sections"])
    assert len(answer["hits"]) == 2 and answer["hits"][0]["document"] == "messaging/contacts.md"
    assert answer["usage"]["completion_tokens"] <= 384
    context = "\n".join(hit["text"] for hit in answer["hits"])
    assert all(supported(name, context) for name in re.findall(r"`([^`]+)`", answer["answer"]))


def test_a_second_run_skips_every_stage_at_once(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    began = time.monotonic()
    done = copilot("pipeline", ran[0])
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"{stage}: fresh, skipped" for stage in ("index", "train", "evaluate", "demo")]
    assert time.monotonic() - began < 20, "nothing is loaded when there is nothing to do"
