"""Two processes on a CPU, each with all of the base model (torchrun) or its part of it (accelerate's --use_fsdp).

The curve and the adapter of one process, one voice, resume, and one sentence when one fails.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_project import make_project

from copilot.chain import Options, run_pipeline
from copilot.config import Config, Model
from copilot.config_file import load_config
from copilot.errors import CopilotError
from copilot.model.checkpoints import is_whole
from copilot.model.processes import Processes, _announce, check_launch, launched, together
from copilot.model.sharding import check_shardable
from copilot.pipeline import run_index, run_train
from copilot.terminal import Terminal

pytestmark = pytest.mark.slow
ROWS = ["train.held_out=0.34", "train.save_steps=3", "train.eval_steps=2"]  # 8 rows to train on: no batch is filled up
ONE = ["train.per_device_train_batch_size=2", "train.gradient_accumulation_steps=2"]
TWO = ["train.per_device_train_batch_size=1", "train.gradient_accumulation_steps=2"]

LAUNCH = {
    "two": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    "sharded": ["accelerate.commands.launch", "--use_fsdp", "--num_processes", "2", "--main_process_port", "0"],
}

# The real command; where HOW says so, the second process is killed once it has logged step 5. With sharded weights each
# writes down what share of the base model's numbers it holds after each step, and of its layers' once they were read.
SCRIPT = """
import os, signal
import copilot.model.trainer as trainer

make, shard, models = trainer.make_report, trainer.shard, []

def note(model, within=""):
    base = [p for name, p in model.named_parameters() if not p.requires_grad and within in name]
    here = sum(getattr(p, "_local_tensor", p).numel() for p in base)
    with open(f"share-{os.environ['RANK']}.txt", "a") as file:
        print(here / sum(p.numel() for p in base), file=file)

def shard_and_keep(model):
    shard(model)
    models.append(model)
    model.register_forward_hook(lambda *read: note(model, "layers"))

def deadly(on_step, interrupted, processes, *rest):
    def told(step, *more):
        for model in models:
            note(model)
        if os.environ["HOW"] == "kill" and processes.rank == 1 and step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        on_step(step, *more)
    return make(told, interrupted, processes, *rest)

trainer.make_report, trainer.shard = deadly, shard_and_keep
from copilot.cli import main
main()
"""


def open_config(root: Path, out: str, batches: list[str]) -> Config:
    return load_config(str(root / "copilot.yaml"), [*ROWS, *batches, f"output_dir={root / out}"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an index for one process and for each way of two, and what one process learns."""
    root = tmp_path_factory.mktemp("ddp") / "project"
    make_project(root)
    (root / "train.py").write_text(SCRIPT, encoding="utf-8")
    for out in ("one", *LAUNCH):
        run_index(open_config(root, out, ONE), Terminal(quiet=True))
    run_train(open_config(root, "one", ONE), Terminal(quiet=True))
    return root


def two(root: Path, name: str, *flags: str, how: str, sets: list[str]) -> "subprocess.CompletedProcess[str]":
    """`copilot train` in two processes."""
    launch = [sys.executable, "-m", *LAUNCH[name], "train.py"]
    given = [word for text in sets for word in ("--set", text)]
    command = [*launch, "train", "-c", "copilot.yaml", "--output-dir", name, *given, *flags]
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")}
    environment = {**clean, "HOW": how, "OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, env=environment, **pipes) as launcher:
        try:
            out, err = launcher.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            launcher.terminate()  # which ends the processes that wait for one another, as no kill would
            raise
    return subprocess.CompletedProcess(command, launcher.returncode, out, err)


def log(root: Path, out: str) -> list[dict[str, Any]]:
    text = (root / out / "small" / "adapter" / "training_log.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def curve(root: Path, out: str) -> list[tuple[float, ...]]:
    keys = ("step", "loss", "held_out_loss", "learning_rate", "grad_norm")
    return [tuple(entry.get(key, -1) for key in keys) for entry in log(root, out)]


def weights(root: Path, out: str) -> dict[str, Any]:
    """The adapter as plain peft opens it on the whole base model."""
    from peft import PeftModel, get_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(root / "model")
    return dict(get_peft_model_state_dict(PeftModel.from_pretrained(base, root / out / "small" / "adapter")))


def assert_same_adapter(root: Path, one: str, other: str) -> None:
    wanted, found = weights(root, one), weights(root, other)
    assert wanted.keys() == found.keys() and len(found) == 28
    for name, weight in found.items():
        assert float((weight - wanted[name]).abs().max()) < 1e-4, name


@pytest.mark.parametrize("out", LAUNCH)
def test_two_processes_end_with_one_go_on_together_and_learn_what_one_learns(project: Path, out: str) -> None:
    """Step 5 kills the second process; then both go on after step 3 and end with curve and adapter of one process."""
    ended = two(project, out, how="kill", sets=[*ROWS, *TWO])
    assert ended.returncode != 0
    errors = re.findall(r"^error: .*$", ended.stderr, re.MULTILINE)
    assert len(errors) == 1 and "another process of this training has gone" in errors[0]
    assert "copilot/" not in ended.stderr.partition("Traceback")[2], "only the launcher's own traceback"
    checkpoints = project / out / "small" / "checkpoints"
    assert is_whole(checkpoints / "checkpoint-3")
    assert (checkpoints / "checkpoint-3" / "rng_state_1.pth").is_file()

    done = two(project, out, "--resume", how="whole", sets=[*ROWS, *TWO])
    assert done.returncode == 0, done.stderr
    for said in ("going on after checkpoint-3", "2 processes", "training: 8", "train: 8 steps, held-out loss"):
        assert done.stderr.count(said) == 1, said
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert ("each with its part of the base model" in done.stderr) == (out == "sharded")
    wanted, found = curve(project, "one"), curve(project, out)
    assert [entry[0] for entry in found] == list(range(9)) and len(wanted) == 9
    for one, other in zip(wanted, found, strict=True):
        assert other == pytest.approx(one, abs=1e-4)
    assert_same_adapter(project, "one", out)
    assert sorted(p.name for p in (project / out / "small").iterdir() if p.name[0] != ".") == ["adapter", "index"]
    for rank in range(2 if out == "sharded" else 0):
        shares = [float(line) for line in (project / f"share-{rank}.txt").read_text("utf-8").splitlines()]
        assert len(shares) > 30 and shares == pytest.approx([0.5] * len(shares), abs=0.02)


def test_sharded_packs_that_do_not_go_round_keep_the_adapter_of_the_best_step(project: Path) -> None:
    """Packs of one row, of which one process has fewer in a step and held out, and so reads empty ones."""
    sets = ["train.held_out=0.25", "train.eval_steps=1", "train.early_stopping_patience=1", "train.learning_rate=0.15"]
    sets += ["train.packing=true", "train.pack_tokens=384", "train.gradient_checkpointing=true"]
    sets += ["train.lr_scheduler_type=constant", "train.per_device_train_batch_size=4"]
    for out in LAUNCH:
        done = two(project, out, "--force", how="whole", sets=[*sets, "train.gradient_accumulation_steps=1"])
        assert done.returncode == 0, done.stderr
        assert "packs of 384 tokens" in done.stderr and "the best at step" in done.stderr
    for whole, other in zip(curve(project, "two"), curve(project, "sharded"), strict=True):
        assert other == pytest.approx(whole, abs=1e-4)
    assert_same_adapter(project, "two", "sharded")


def test_only_the_first_to_fail_speaks() -> None:
    from torch.distributed import HashStore

    store = HashStore()
    assert _announce(store, 2) is None
    assert [_announce(store, 1), _announce(store, 1)] == [2, 2]


def test_alone_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    assert launched() == Processes(0, 1)
    with together() as processes:
        assert processes.first and not torch.distributed.is_initialized()
        processes.wait()
        assert processes.sum([1.5, 2.0]) == [1.5, 2.0] and processes.any(True) and not processes.any(False)
        assert processes.told(lambda: {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("name", ["ACCELERATE_USE_DEEPSPEED", "FSDP_OFFLOAD_PARAMS", "FSDP_ACTIVATION_CHECKPOINTING"])
def test_what_is_not_sharded_so_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "ACCELERATE_USE_FSDP": "true"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert launched() == Processes(1, 2, sharded=True)
    check_launch(sharded=True)
    monkeypatch.setenv(name, "true")
    with pytest.raises(CopilotError, match="DeepSpeed" if "DEEPSPEED" in name else name) as caught:
        check_launch(sharded=True)
    assert caught.value.code == 2 and caught.value.hint


def test_4_bits_and_unsloth_are_not_sharded() -> None:
    check_shardable(Model(load_in_4bit=False), "transformers")
    for config, backend, named in (
        (Model(load_in_4bit=True), "transformers", "model.load_in_4bit=false"),
        (Model(load_in_4bit=False), "unsloth", "model.backend=transformers"),
    ):
        with pytest.raises(CopilotError) as caught:
            check_shardable(config, backend)
        assert caught.value.code == 2 and named in caught.value.hint


def test_pipeline_is_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(CopilotError, match="only train together") as caught:
        run_pipeline(Config(output_dir=str(tmp_path)), Terminal(quiet=True), "", Options())
    assert caught.value.code == 2 and "copilot train" in caught.value.hint
