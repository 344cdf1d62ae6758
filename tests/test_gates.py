"""Gates of an evaluation: which hold, which fail in which words, and which are refused before anything runs."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_project import make_project
from typer.testing import CliRunner

from copilot.cli import app
from copilot.config import Evaluation, Model
from copilot.errors import ConfigError, CopilotError, Exit
from copilot.evaluation import gates
from copilot.evaluation.metrics import Figure
from copilot.evaluation.report import COLUMNS
from copilot.knowledge import retriever


def figure(mean: float) -> Figure:
    return {"mean": mean, "n": 14, "low": 0.0, "high": 1.0}


SUMMARY = {"served": {"structure": figure(0.9), "repeats": figure(0.2)}, "extractive": {"structure": figure(1.0)}}


@pytest.mark.parametrize(
    ("gate", "wanted", "said"),
    [
        ("served.structure", 0.9, None),
        ("served.structure", 0.95, "served.structure is 0.900 over 14 answers, the gate is at least 0.95"),
        ("served.repeats", 0.2, None),
        ("served.repeats", 0.1, "served.repeats is 0.200 over 14 answers, the gate is at most 0.1"),
        ("extractive.structure", 1, None),
        (
            "served.abstention_f1",
            0.5,
            "served.abstention_f1 cannot be told: no question of this evaluation has it",
        ),
    ],
)
def test_a_gate_is_the_least_or_of_what_should_be_low_the_most(gate: str, wanted: float, said: str | None) -> None:
    assert gates.failed(Evaluation(gates={gate: wanted}), SUMMARY) == ([said] if said else [])


def test_every_failed_gate_is_told_and_the_exit_code_is_4() -> None:
    config = Evaluation(gates={"served.structure": 0.95, "extractive.structure": 1.0, "served.repeats": 0.0})
    with pytest.raises(CopilotError) as caught:
        gates.hold(config, SUMMARY)
    assert caught.value.code == Exit.GATE == 4
    assert [line.split()[0] for line in caught.value.message.splitlines()] == ["served.structure", "served.repeats"]
    gates.hold(Evaluation(), SUMMARY)


@pytest.mark.parametrize("gate", ["served.struktur", "serve.structure", "structure", "served.", ""])
def test_a_gate_that_names_nothing_is_refused(gate: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.gates"):
        gates.check_names(Evaluation(gates={gate: 0.5}), Model())


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        (Model(), ("base", "tuned", "served", "extractive")),
        (Model(name="openai:gpt"), ("base", "served", "extractive")),
        (Model(backend="extractive"), ("extractive",)),
    ],
)
def test_a_gate_may_name_the_columns_that_the_model_has(model: Model, columns: tuple[str, ...]) -> None:
    for column in COLUMNS:
        gate = Evaluation(gates={f"{column}.structure": 0.5})
        if column in columns:
            gates.check_names(gate, model)
        else:
            with pytest.raises(ConfigError, match=f"no column `{column}`"):
                gates.check_names(gate, model)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without a language model; its YAML."""
    file = make_project(tmp_path_factory.mktemp("gates"))
    shutil.rmtree(file.parent / "model")
    return file


def test_the_pipeline_ends_with_4_after_it_has_written_and_printed_everything(project: Path) -> None:
    flags = ["-c", str(project), "--set", "model.backend=extractive"]
    runner = CliRunner()
    good = runner.invoke(app, ["pipeline", *flags, "--set", "evaluation.gates={extractive.structure: 1.0}"])
    assert good.exit_code == 0, good.exception
    evaluation = json.loads((project.parent / "outputs" / "small" / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["summary"]["extractive"]["structure"]["mean"] == 1
    for more in ([], ["--json"], ["--only", "evaluate"]):  # the evaluation is fresh by now, and still held to it
        bad = runner.invoke(app, ["pipeline", *flags, "--set", "evaluation.gates={extractive.brevity: 2}", *more])
        assert isinstance(bad.exception, ConfigError), "a figure's name is checked before anything runs"
        high = "evaluation.gates={extractive.recall_at_k: 1.5, extractive.structure: 1.0}"
        bad = runner.invoke(app, ["pipeline", *flags, "--set", high, *more])
        assert isinstance(bad.exception, CopilotError) and bad.exception.code == Exit.GATE
        assert bad.exception.message.startswith("extractive.recall_at_k is ") and "\n" not in bad.exception.message
        assert "Written:" in bad.stdout or more == ["--json"]
    assert runner.invoke(app, ["pipeline", *flags, "--only", "demo", "--set", high]).exit_code == 0


def test_a_worse_retrieval_fails_its_gate(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = "evaluation.gates={extractive.recall_at_k: 0.5, extractive.identifier_recall: 0.5}"
    flags = ["-c", str(project), "--set", "model.backend=extractive", "--set", gate]
    runner = CliRunner()
    assert runner.invoke(app, ["pipeline", *flags, "--force"]).exit_code == 0
    best = retriever._best_first  # the chunks that fit worst will come first
    monkeypatch.setattr(retriever, "_best_first", lambda *scores: best(*scores)[::-1])
    bad = runner.invoke(app, ["pipeline", *flags, "--force"])
    assert isinstance(bad.exception, CopilotError) and bad.exception.code == Exit.GATE
    failed = [line.split()[0] for line in bad.exception.message.splitlines()]
    assert failed == ["extractive.recall_at_k", "extractive.identifier_recall"]
