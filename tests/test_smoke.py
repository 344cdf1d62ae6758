"""The shipped chain on the shipped documents as a subprocess, its figures held to gates; then again: nothing to do."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from test_index import Console

from copilot.abstention import evidence, labelled
from copilot.answering.floor import WRONGLY, learn
from copilot.answering.identifiers import supported
from copilot.config import SECTIONS, Evaluation
from copilot.config_file import load_config
from copilot.evaluation.gates import failed
from copilot.model.dataset import read_questions
from copilot.opened import open_retriever
from copilot.pipeline import run_index
from copilot.prompt.sections import parse
from copilot.runs import sha256_file
from copilot.work import Work

ROOT = Path(__file__).parent.parent
QUESTION = "How do I look up a contact when I only know the phone number?"
SETS = (f"demo.questions=[{QUESTION!r}]",)  # all else is configs/tiny.yaml as it is shipped

# A little under what `copilot pipeline -c configs/tiny.yaml` reaches, as `outputs/tiny/evaluation.json` says under
# "summary": a worse retrieval, prompt, training or decoding turns this red. Other processors round in other ways, so
# each leaves room for two of the 14 answers. After a new tiny model: run the command and set them anew.
GATES = {
    "base.recall_at_k": 0.85,  # retrieval
    "base.reciprocal_rank": 0.9,  # the reranker: 0.89 without it
    "tuned.structure": 0.85,  # training
    "served.structure": 1.0,  # decoding, by construction
    "served.identifier_precision": 1.0,  # decoding, by construction
    "served.identifier_recall": 0.75,  # prompt, training, decoding
    "extractive.structure": 1.0,  # by construction
    "extractive.identifier_precision": 1.0,  # by construction
    "extractive.identifier_recall": 0.75,  # retrieval and the baseline's rules
    "extractive.repeats": 0.0,  # by construction
}
pytestmark = pytest.mark.slow


def copilot(command: str, output: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program as people run it, from another folder than the repository's."""
    flags = ["-c", str(ROOT / "configs" / "tiny.yaml"), "--output-dir", str(output)]
    flags += [word for text in SETS for word in ("--set", text)]
    line = [sys.executable, "-c", "from copilot.cli import main; main()", command, *arguments, *flags]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "OPENAI_"))}
    env |= {"HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    env |= {"OMP_NUM_THREADS": "1"}  # on a busy machine, more threads wait for each other far longer than they work
    return subprocess.run(line, capture_output=True, text=True, cwd=output, env=env, timeout=900, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The output folder after `copilot pipeline`, and what that said."""
    output = tmp_path_factory.mktemp("smoke")
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
    assert json.loads(log[-1])["step"] == 40
    manifest = json.loads((folder / "adapter" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["loss_after"] < manifest["loss_before"] and manifest["adapter_norm"] > 0
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert len(evaluation["questions"]) == 14
    assert evaluation["summary"]["base"]["structure"]["mean"] == 0  # an honest before: it answers under other headings
    recall = {part["recall_at_k"]["mean"] for name, part in evaluation["summary"].items() if name != "change"}
    assert len(recall) == 1, "every column answers from the same passages"
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    documents = ROOT / "data" / "knowledge_base"
    assert run["documents"] == {
        p.relative_to(documents).as_posix(): sha256_file(p) for p in documents.rglob("*") if p.is_file()
    }
    assert run["answers"][0]["adapter"] == run["adapter"]["fingerprint"]


def test_what_came_with_the_embedder_is_learnt_here(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    """It is learnt without the reranker and copied to data/models/embedder: do so after a new adapter."""
    config = load_config(ROOT / "configs/tiny.yaml", [f"output_dir={ran[0]}", "retriever.reranker=null"])
    retrieve, rows = open_retriever(config, ""), labelled(Work(config))
    made = asdict(learn([retrieve.evidence(question) for question in rows], list(rows.values())))
    shipped = read_floor(ROOT / "data" / "models" / "embedder")
    assert made["threshold"] == pytest.approx(shipped["threshold"], abs=0.02)
    assert made["known"][0] == pytest.approx(shipped["known"][0], abs=0.005) and made["auc"] > 0.9
    assert read_floor(ran[0] / "tiny")["auc"] > 0.9, "with the reranker"


def test_what_came_with_the_reranker_is_learnt_of_other_documents(tmp_path: Path) -> None:
    """By tools/embedder/floor.py: do so after a new reranker, or when documents are read in another way."""
    config = load_config(ROOT / "configs/development.yaml", [f"output_dir={tmp_path}"])
    run_index(config, Console())
    retrieve, floor = open_retriever(config, ""), read_floor(ROOT / "data" / "models" / "reranker")
    some = [one.question for one in read_questions(Path(config.evaluation.questions)) if one.answerable][:16]
    for value in (evidence(question, retrieve)[0] for question in some):
        assert min(abs(value - known) for known in floor["known"][0]) < 0.01
    assert floor["refused_answerable"] <= WRONGLY and floor["unanswerable"] > 50


def read_floor(folder: Path) -> dict[str, Any]:
    floor: dict[str, Any] = json.loads((folder / "abstention.json").read_text(encoding="utf-8"))["floor"]
    return floor


def test_the_figures_pass_their_gates(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    summary = json.loads((ran[0] / "tiny" / "evaluation.json").read_text(encoding="utf-8"))["summary"]
    assert not failed(Evaluation(gates=GATES), summary)
    for broken, told in (
        ({"tuned": summary["base"]}, "tuned.structure"),  # as if nothing had been trained
        ({"served": summary["base"]}, "served.structure"),  # as if nothing were trained nor held
        ({"extractive": summary["base"]}, "extractive.identifier_recall"),  # as if the rules found nothing
    ):
        assert any(said.startswith(told) for said in failed(Evaluation(gates=GATES), {**summary, **broken}))


def test_the_answer_has_the_four_headings_and_its_source(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    done = copilot("ask", ran[0], QUESTION, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [section["title"] for section in answer["sections"]] == list(SECTIONS)
    assert parse(answer["answer"], SECTIONS) is not None
    assert all(section["text"] for section in answer["sections"])
    assert len(answer["hits"]) == 5 and answer["hits"][0]["document"] == "messaging/contacts.md"
    assert answer["usage"]["completion_tokens"] <= 512
    context = "\n".join(hit["text"] for hit in answer["hits"])
    assert all(supported(name, context) for name in re.findall(r"`([^`]+)`", answer["answer"]))


def test_a_second_run_skips_every_stage_at_once(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    began = time.monotonic()
    done = copilot("pipeline", ran[0])
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"{stage}: fresh, skipped" for stage in ("index", "train", "evaluate", "demo")]
    assert time.monotonic() - began < 20, "nothing is loaded when there is nothing to do"
