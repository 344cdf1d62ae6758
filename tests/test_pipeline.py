"""The chain on a small project with a random Llama: what runs, what is skipped and why, what ties a run together."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from tiny_project import make_project

from copilot.chain import Options, choose_stages, contacted, describe, run_pipeline
from copilot.config import Config
from copilot.config_file import load_config
from copilot.errors import ConfigError, CopilotError, Exit, StaleError
from copilot.opened import open_answerer
from copilot.pipeline import run_index, run_train, spread
from copilot.runs import sha256_file
from copilot.show import show_training_example
from copilot.terminal import Terminal
from copilot.types import Question
from copilot.work import STAGES, Work


class Listener(Terminal):
    """A terminal that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run; the YAML. Tests that change something copy it."""
    file = make_project(tmp_path_factory.mktemp("whole"))
    run_pipeline(load_config(file), Listener(), f" -c {file}", Options())
    return file


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    """A copy of the project, in another place."""
    return Path(shutil.copytree(whole.parent, tmp_path / "copy")) / whole.name


def states(file: Path, *sets: str) -> dict[str, str]:
    """The first word of each stage's state."""
    work = Work(load_config(file, list(sets)))
    return {stage: work.state(stage).partition(":")[0] for stage in STAGES}


def expect(index: str, train: str, evaluate: str, demo: str) -> dict[str, str]:
    return dict(zip(STAGES, (index, train, evaluate, demo), strict=True))


ALL_FRESH = expect("fresh", "fresh", "fresh", "fresh")


def plan_of(config: Config, stages: tuple[str, ...] = STAGES, force: bool = False) -> dict[str, tuple[str, str]]:
    return {stage: (plan, why) for stage, plan, why in describe(Work(config, " -c f.yaml"), stages, force)}


def test_a_run_leaves_its_artefacts(whole: Path) -> None:
    folder = whole.parent / "outputs" / "small"
    index = {p.name for p in (folder / "index").iterdir()}
    assert index == {"index.faiss", "lexical.npz", "chunks.jsonl", "manifest.json"}
    adapter = {p.name for p in (folder / "adapter").iterdir()}
    wanted = {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "chat_template.jinja", "README.md"}
    assert adapter >= wanted | {"training_log.jsonl", "loss.png", "config.yaml", "manifest.json"}
    made = {"abstention.json", "evaluation.json", "demo.json", "demo.md", "run.json"}
    assert made <= {p.name for p in folder.iterdir()}
    assert not list(folder.glob(".*.new-*")) and not (folder / "checkpoints").exists()


def test_run_json_ties_answers_to_adapter_to_index_to_files(whole: Path) -> None:
    folder = whole.parent / "outputs" / "small"
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert run["documents"] == {p.name: sha256_file(p) for p in (whole.parent / "docs").iterdir()}
    assert run["adapter"]["index"] == run["index"]["fingerprint"] == run["stages"]["index"]["key"]
    assert run["adapter"]["sha256"] == sha256_file(folder / "adapter" / "adapter_model.safetensors")
    assert {entry["state"] for entry in run["stages"].values()} == {"fresh"}
    assert run["evaluation"]["adapter"] == run["adapter"]["fingerprint"]
    (answer,) = run["answers"]
    assert answer["question"] == "How do I light the lamp?"
    assert answer["adapter"] == run["adapter"]["fingerprint"] and answer["index"] == run["index"]["fingerprint"]
    assert len(answer["documents"]) >= 1
    assert all(run["documents"][name] == sha for name, sha in answer["documents"].items())
    assert run["config"]["run"]["name"] == "small"


def test_a_second_run_skips_every_stage_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, listener = load_config(project), Listener()
    folder = config.run_dir
    run_pipeline(config, Listener(), "", Options())  # the copy stands elsewhere, which run.json notes
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if not p.name.startswith(".")}
    run_pipeline(config, listener, "", Options())
    assert listener.said == [f"{stage}: fresh, skipped" for stage in STAGES]
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if not p.name.startswith(".")} == before
    assert "Written:" in capsys.readouterr().out


def test_a_project_that_is_moved_stays_fresh(project: Path) -> None:
    assert states(project) == ALL_FRESH


@pytest.mark.parametrize(
    ("sets", "wanted"),
    [
        ([], ALL_FRESH),
        (['demo.questions=["How do I open the door?"]'], expect("fresh", "fresh", "fresh", "stale")),
        (["evaluation.limit=3"], expect("fresh", "fresh", "stale", "fresh")),
        (["answer.max_new_tokens=9"], expect("fresh", "fresh", "stale", "stale")),
        (["train.learning_rate=0.04"], expect("fresh", "stale", "stale", "stale")),
        (["seed=7"], expect("fresh", "stale", "stale", "stale")),
        (["retriever.k=1"], expect("fresh", "stale", "stale", "stale")),
        (["retriever.mode=dense"], expect("fresh", "stale", "stale", "stale")),
        (["prompt.no_rag='{question}?'"], expect("fresh", "stale", "stale", "stale")),
        (["chunks.size=300"], expect("stale", "stale", "stale", "stale")),
        (["embeddings.model=openai:text-embedding-3-small"], expect("stale", "stale", "stale", "stale")),
        (["evaluation.batch_size=3", "train.save_steps=5"], ALL_FRESH),
        (["run.name=other"], expect("missing", "missing", "missing", "missing")),
    ],
)
def test_a_setting_makes_stale_what_it_makes(whole: Path, sets: list[str], wanted: dict[str, str]) -> None:
    assert states(whole, *sets) == wanted


def change_document(root: Path) -> None:
    with (root / "docs" / "doors.md").open("a", encoding="utf-8") as file:
        file.write("\nA door has a key.\n")


def change_rows(root: Path) -> None:
    file = root / "train.jsonl"
    file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")


def change_model(root: Path) -> None:
    file = root / "model" / "generation_config.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**data, "max_length": 99}), encoding="utf-8")


def change_questions(root: Path) -> None:
    file = root / "questions.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("must be sent", "has to be sent"), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (change_document, expect("stale", "stale", "stale", "stale")),
        (lambda root: (root / "docs" / "bells.txt").unlink(), expect("stale", "stale", "stale", "stale")),
        (change_rows, expect("fresh", "stale", "stale", "stale")),
        (change_model, expect("fresh", "stale", "stale", "stale")),
        (change_questions, expect("fresh", "fresh", "stale", "fresh")),
    ],
)
def test_a_changed_file_makes_stale_what_it_makes(
    project: Path, change: Callable[[Path], None], wanted: dict[str, str]
) -> None:
    change(project.parent)
    assert states(project) == wanted


def test_the_reason_names_the_files(project: Path) -> None:
    change_document(project.parent)
    (project.parent / "docs" / "new.md").write_text("# New\n\nSomething new.\n", encoding="utf-8")
    assert Work(load_config(project)).state("index") == "stale: new.md new; doors.md changed"


def test_only_the_demo_runs_after_its_questions_changed(project: Path) -> None:
    config, listener = load_config(project, ['demo.questions=["How do I open the door?"]']), Listener()
    run_pipeline(config, listener, "", Options())
    assert listener.said[:3] == ["index: fresh, skipped", "train: fresh, skipped", "evaluate: fresh, skipped"]
    demo = json.loads((config.run_dir / "demo.json").read_text(encoding="utf-8"))
    assert [answer["question"] for answer in demo["answers"]] == ["How do I open the door?"]
    assert states(project, 'demo.questions=["How do I open the door?"]') == ALL_FRESH


def test_force_runs_a_fresh_stage_again(project: Path) -> None:
    config, listener = load_config(project), Listener()
    before = (config.run_dir / "demo.json").stat().st_mtime_ns
    run_pipeline(config, listener, "", Options(only="demo", force=True))
    assert not any("skipped" in line for line in listener.said)
    assert (config.run_dir / "demo.json").stat().st_mtime_ns > before


def test_from_leaves_out_the_earlier_stages(project: Path) -> None:
    listener = Listener()
    run_pipeline(load_config(project), listener, "", Options(from_="evaluate"))
    assert listener.said == ["evaluate: fresh, skipped", "demo: fresh, skipped"]
    assert choose_stages("train", None) == ("train", "evaluate", "demo")
    with pytest.raises(ConfigError, match="exclude each other"):
        choose_stages("train", "index")


@pytest.mark.parametrize("stage", ["evaluate", "demo"])
def test_only_refuses_a_stale_adapter_with_the_command(project: Path, stage: str) -> None:
    config, flags = load_config(project, ["train.learning_rate=0.04"]), " -c mine.yaml --set train.learning_rate=0.04"
    with pytest.raises(StaleError) as caught:
        run_pipeline(config, Listener(), flags, Options(only=stage, force=True))
    assert caught.value.code == Exit.STALE
    assert caught.value.hint == "run copilot train -c mine.yaml --set train.learning_rate=0.04"


def test_only_evaluate_refuses_an_adapter_of_an_earlier_index(project: Path) -> None:
    change_document(project.parent)
    config = load_config(project)
    run_index(config, Listener())
    with pytest.raises(StaleError, match="earlier index"):
        run_pipeline(config, Listener(), "", Options(only="evaluate"))


def test_only_train_refuses_a_stale_index(project: Path) -> None:
    change_document(project.parent)
    with pytest.raises(StaleError, match=r"doors\.md changed") as caught:
        run_pipeline(load_config(project), Listener(), " -c x.yaml", Options(only="train"))
    assert caught.value.hint == "run copilot index -c x.yaml"


def test_asking_needs_an_index_and_an_adapter(project: Path) -> None:
    config = load_config(project)
    adapter = config.run_dir / "adapter"
    shutil.move(adapter, project.parent / "elsewhere")
    with pytest.raises(StaleError, match="no trained adapter") as caught:
        open_answerer(config, " -c x.yaml")
    assert caught.value.hint == "run copilot train -c x.yaml"
    shutil.rmtree(config.run_dir / "index")
    with pytest.raises(StaleError, match=r"index is missing") as caught:
        open_answerer(config, " -c x.yaml")
    assert caught.value.hint == "run copilot index -c x.yaml"


def test_asking_refuses_an_index_of_another_embedder(whole: Path) -> None:
    config = load_config(whole, ["embeddings.model=openai:text-embedding-3-small"])
    with pytest.raises(StaleError, match="was made with offline:all-MiniLM-L6-v2"):
        open_answerer(config)


def test_asking_refuses_an_adapter_of_other_rows(project: Path) -> None:
    change_rows(project.parent)
    with pytest.raises(StaleError, match="other settings or rows"):
        open_answerer(load_config(project))


def test_asking_after_the_documents_changed_says_that_the_adapter_is_older(project: Path) -> None:
    change_document(project.parent)
    config, listener = load_config(project), Listener()
    with pytest.raises(StaleError, match=r"doors\.md changed"):
        open_answerer(config)
    run_index(config, listener)
    open_answerer(config, " -c x.yaml", say=listener.say)
    assert "note: the adapter was trained on an earlier index; copilot train -c x.yaml renews it" in listener.said


def test_another_k_works_with_a_note_and_without_rag_no_index_is_read(project: Path) -> None:
    config, listener = load_config(project), Listener()
    answer = open_answerer(config, k=1, say=listener.say).ask("How do I ring the bell?")
    assert listener.said == ["note: asking with 1 chunks; the adapter was trained with 2"]
    assert len(answer.hits) == 1
    (config.run_dir / "index" / "index.faiss").unlink()
    assert open_answerer(config, rag=False, say=listener.say).ask("What is a bell?").hits == ()


def test_a_damaged_result_is_stale_not_a_traceback(project: Path) -> None:
    config = load_config(project)
    (config.run_dir / "demo.json").write_text("{", encoding="utf-8")
    (config.run_dir / "run.json").write_text("{", encoding="utf-8")
    (config.run_dir / "adapter" / "adapter_model.safetensors").write_bytes(b"short")
    assert "damaged" in Work(config).state("demo")
    assert "damaged" in Work(config).state("train")
    run_pipeline(config, Listener(), "", Options(only="index"))
    run = json.loads((config.run_dir / "run.json").read_text(encoding="utf-8"))
    assert run["stages"]["train"] == {"state": Work(config).state("train"), "key": None}


def test_a_damaged_artefact_is_refused_with_the_command_that_mends_it(project: Path) -> None:
    config = load_config(project)
    (config.run_dir / "index" / "index.faiss").write_bytes(b"short")
    with pytest.raises(StaleError, match="damaged") as caught:
        open_answerer(config, " -c x.yaml")
    assert caught.value.hint == "run copilot index -c x.yaml"
    run_index(config, Listener())
    (config.run_dir / "adapter" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StaleError) as caught:
        open_answerer(config, " -c x.yaml")
    assert caught.value.hint == "run copilot train -c x.yaml"


def test_checkpoints_of_other_settings_are_not_gone_on_from(project: Path) -> None:
    config = load_config(project, ["train.learning_rate=0.04"])
    checkpoints = config.run_dir / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "fingerprint.json").write_text('"another"', encoding="utf-8")
    with pytest.raises(StaleError, match="other settings") as caught:
        run_train(config, Listener(), " -c x.yaml", resume=True)
    assert caught.value.hint == "run copilot train -c x.yaml, without --resume"


def test_a_training_that_fails_leaves_the_old_adapter(project: Path) -> None:
    config = load_config(project, ["train.learning_rate=1000000.0"])
    before = sha256_file(config.run_dir / "adapter" / "adapter_model.safetensors")
    with pytest.raises(CopilotError, match=r"held-out loss worse|diverged"):
        run_train(config, Listener())
    assert sha256_file(config.run_dir / "adapter" / "adapter_model.safetensors") == before
    assert states(project)["train"] == "fresh"


def test_a_row_without_room_is_refused_before_training(project: Path) -> None:
    config = load_config(project, ["model.max_length=64"])
    with pytest.raises(CopilotError, match=r"train\.jsonl:1: .* would be cut"):
        run_train(config, Listener())


def test_a_document_that_changes_while_it_is_indexed_is_noticed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_document(project.parent)
    config = load_config(project)
    before = (config.run_dir / "index" / "manifest.json").read_bytes()
    import copilot.knowledge.documents as documents

    real = documents.load_document

    def load_and_edit(name: str, file: Path) -> object:
        with file.open("a", encoding="utf-8") as handle:
            handle.write("\nOne more line.\n")
        return real(name, file)

    monkeypatch.setattr(documents, "load_document", load_and_edit)
    with pytest.raises(CopilotError, match="changed while this ran"):
        run_index(config, Listener())
    assert (config.run_dir / "index" / "manifest.json").read_bytes() == before


def test_dry_run_tells_and_touches_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(project, ["run.name=never"])
    run_pipeline(config, Listener(), "", Options(dry_run=True))
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[1:5]] == [[stage, "runs", "missing"] for stage in STAGES]
    assert out.splitlines()[-1] == "Contacts no remote endpoint."
    assert not config.run_dir.exists()


def test_the_plan_says_why(whole: Path) -> None:
    assert plan_of(load_config(whole)) == dict.fromkeys(STAGES, ("skipped", "fresh"))
    assert plan_of(load_config(whole), force=True) == dict.fromkeys(STAGES, ("runs", "--force"))
    changed = plan_of(load_config(whole, ["train.learning_rate=0.04"]))
    assert changed["index"] == ("skipped", "fresh")
    assert changed["train"] == ("runs", "stale: its settings, rows or base model have changed")
    assert changed["demo"] == ("runs", "stale: the adapter has changed")
    refused = plan_of(load_config(whole, ["train.learning_rate=0.04"]), ("demo",))
    assert refused["demo"] == ("refused", "train is not fresh; first copilot train -c f.yaml")


def test_every_remote_endpoint_is_named(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://name.example")
    sets = ["embeddings.model=azure_openai:text-embedding-3-small", "model.name=unsloth/Llama-3.2-1B"]
    config = load_config(whole, [*sets, "train.report_to=wandb"])
    assert contacted(config, []) == []
    assert contacted(config, ["index"]) == ["https://name.example"]
    hub = "https://huggingface.co/unsloth/Llama-3.2-1B (unless it is in the local cache)"
    assert contacted(config, ["train"]) == ["https://name.example", hub, "https://api.wandb.ai"]


def test_a_second_writer_waits_and_says_who_holds_the_run(project: Path) -> None:
    config, listener = load_config(project), Listener()
    lock = FileLock(config.run_dir / ".lock")
    lock.acquire()
    waiting = threading.Thread(target=run_index, args=(config, listener))
    waiting.start()
    deadline = time.monotonic() + 20
    while not listener.said and time.monotonic() < deadline:
        time.sleep(0.02)
    assert listener.said[0].startswith("waiting: ") and waiting.is_alive()
    lock.release()
    waiting.join(20)
    assert "unchanged, nothing to do" in listener.said[-1]


def test_show_example_marks_the_answer(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(whole)
    show_training_example(config, Listener(), "", 3)
    out = capsys.readouterr().out
    row = json.loads((whole.parent / "train.jsonl").read_text(encoding="utf-8").splitlines()[2])
    assert out.startswith("<s>You explain") and f"⟦{row['response']}</s>⟧" in out
    assert f"Question: {row['question']}\n\nAnswer:\n⟦" in out and "row 3 of 12" in out
    for number in (0, 13):
        with pytest.raises(CopilotError, match=f"no row {number} .* has 12") as caught:
            show_training_example(config, Listener(), "", number)
        assert caught.value.code == Exit.USAGE


def test_questions_are_spread_evenly() -> None:
    rows = [Question(str(i), "", "", (), (), True) for i in range(10)]
    assert [q.id for q in spread(rows, 2)] == ["2", "7"]
    assert spread(rows, None) == spread(rows, 99) == rows


def test_a_fresh_train_loads_no_heavy_library(whole: Path) -> None:
    code = (
        "import sys; from copilot.cli import app\n"
        f"sys.argv = ['copilot', 'train', '-c', {str(whole)!r}]\n"
        "try: app()\nexcept SystemExit as e: assert not e.code\n"
        "print([m for m in ('torch', 'transformers', 'trl', 'faiss', 'langchain_core') if m in sys.modules])"
    )
    env = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "train: unchanged, nothing to do" in done.stderr
    assert done.stdout.strip() == "[]"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    yield


def borrow(project: Path, *more: str) -> list[str]:
    """Settings of a run that asks the adapter of `project` about documents of its own."""
    folder = project.parent / "other"
    folder.mkdir(exist_ok=True)
    text = "# Fans\n\n## Turn\n\n`PUT /fans/turn` turns it, given `fanId`.\n"
    (folder / "fans.md").write_text(text, encoding="utf-8")
    row = {"id": "fan", "question": "How do I turn the fan?", "identifiers": ["PUT /fans/turn"], "reference": "No."}
    row["gold"] = [{"document": "fans.md", "heading": "Turn"}]
    (folder / "questions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    sets = [f"documents.paths=[{folder}]", f"evaluation.questions={folder / 'questions.jsonl'}"]
    return ["run.name=borrower", "train.adapter_from=small", *sets, *more]


def test_an_adapter_is_judged_on_documents_it_has_never_seen(project: Path) -> None:
    config, listener = load_config(project, borrow(project)), Listener()
    run_pipeline(config, listener, "", Options())
    assert states(project, *borrow(project)) == ALL_FRESH and states(project) == ALL_FRESH
    assert "train: fresh, skipped" in listener.said and not (config.run_dir / "adapter").exists()
    made = json.loads((config.run_dir / "evaluation.json").read_text(encoding="utf-8"))
    lent = json.loads((project.parent / "outputs/small/adapter/manifest.json").read_text(encoding="utf-8"))
    assert made["adapter"] == lent["fingerprint"] and made["index"] != lent["index"]
    assert made["questions"][0]["base"]["recall_at_k"] == 1.0 and "endpoint" in made["summary"]["served"]
    plan = plan_of(load_config(project, borrow(project, "chunks.size=900")))
    assert plan["train"] == ("skipped", "fresh in run small") and plan["evaluate"][0] == "runs"
    run_train(config, listener, force=True)
    assert listener.said[-1].startswith("train: nothing to do, run small trains the adapter")
    # another adapter in its place makes what it answered stale, other settings of training do not
    assert states(project, *borrow(project, "train.learning_rate=0.04")) == ALL_FRESH
    manifest = project.parent / "outputs/small/adapter/manifest.json"
    manifest.write_text(json.dumps({**lent, "fingerprint": "other"}), encoding="utf-8")
    assert states(project, *borrow(project)) == expect("fresh", "fresh", "stale", "stale")


def test_a_borrowed_adapter_must_be_there_and_fit(project: Path) -> None:
    sets = borrow(project, "train.adapter_from=nobody")
    config = load_config(project, sets)
    assert states(project, *sets) == expect("missing", "missing", "missing", "missing")
    assert plan_of(config)["train"] == (
        "refused",
        "missing in run nobody; first copilot train with the configuration of run nobody",
    )
    assert plan_of(config)["evaluate"][0] == "refused"
    with pytest.raises(StaleError, match=r"nobody.adapter is missing") as caught:
        run_train(config, Listener())
    assert caught.value.hint == "run copilot train with the configuration of run nobody"
    (config.output_dir / Path("nobody/adapter")).mkdir(parents=True)
    run_index(config, Listener())
    assert states(project, *sets)["evaluate"] == "missing"
    with pytest.raises(StaleError) as caught:
        open_answerer(config)
    elsewhere = ", or set output_dir to the folder that holds run nobody"
    assert caught.value.hint == "run copilot train with the configuration of run nobody" + elsewhere

    other = project.parent / "model-2"
    shutil.copytree(project.parent / "model", other)
    (other / "config.json").write_text((other / "config.json").read_text() + "\n", encoding="utf-8")
    config = load_config(project, borrow(project, f"model.name={other}"))
    assert Work(config).state("train") == "stale: it was trained on another model"
    run_index(config, Listener())
    with pytest.raises(StaleError, match="trained on another model"):
        open_answerer(config)
    run_index(load_config(project, borrow(project)), Listener())
    with pytest.raises(StaleError, match="another prompt or chat template"):
        open_answerer(load_config(project, borrow(project, "prompt.system=Be short.")))


def test_a_run_that_names_itself_has_its_own_adapter(project: Path) -> None:
    assert states(project, "train.adapter_from=small") == ALL_FRESH
    assert Work(load_config(project, borrow(project))).lender == "small"
    assert Work(load_config(project, borrow(project, "model.name=openai:some-model"))).lender is None
