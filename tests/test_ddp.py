"""Two processes under torchrun on a CPU: the curve of one, one voice, resume, and one sentence when one fails."""

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
from copilot.config import Config
from copilot.config_file import load_config
from copilot.errors import CopilotError
from copilot.model.checkpoints import is_whole
from copilot.model.processes import Processes, _announce, launched, together
from copilot.pipeline import run_index, run_train
from copilot.terminal import Terminal

pytestmark = pytest.mark.slow
ROWS = ["train.held_out=0.34", "train.save_steps=3", "train.eval_steps=2"]  # 8 rows to train on: no batch is filled up
ONE = ["train.per_device_train_batch_size=2", "train.gradient_accumulation_steps=2"]
TWO = ["train.per_device_train_batch_size=1", "train.gradient_accumulation_steps=2"]

# The real command; where HOW says so, the second process is killed once it has logged step 5.
SCRIPT = """
import os, signal
import copilot.model.trainer as trainer

make = trainer.make_report

def deadly(on_step, interrupted, processes, *rest):
    def told(step, *more):
        if os.environ["HOW"] == "kill" and processes.rank == 1 and step == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        on_step(step, *more)
    return make(told, interrupted, processes, *rest)

trainer.make_report = deadly
from copilot.cli import main
main()
"""


def open_config(root: Path, out: str, batches: list[str]) -> Config:
    return load_config(str(root / "copilot.yaml"), [*ROWS, *batches, f"output_dir={root / out}"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an index for one process and for two, and what one process logs."""
    root = tmp_path_factory.mktemp("ddp") / "project"
    make_project(root)
    (root / "train.py").write_text(SCRIPT, encoding="utf-8")
    for out in ("one", "two"):
        run_index(open_config(root, out, ONE), Terminal(quiet=True))
    run_train(open_config(root, "one", ONE), Terminal(quiet=True))
    return root


def two(root: Path, *flags: str, how: str) -> "subprocess.CompletedProcess[str]":
    """`copilot train` in two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    sets = [word for text in [*ROWS, *TWO] for word in ("--set", text)]
    command = [*launch, "train", "-c", "copilot.yaml", "--output-dir", "two", *sets, *flags]
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")}
    environment = {**clean, "HOW": how, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def log(root: Path, out: str) -> list[dict[str, Any]]:
    text = (root / out / "small" / "adapter" / "training_log.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def curve(root: Path, out: str) -> list[tuple[float, ...]]:
    keys = ("step", "loss", "held_out_loss", "learning_rate", "grad_norm")
    return [tuple(entry.get(key, -1) for key in keys) for entry in log(root, out)]


def test_two_processes_end_with_one_go_on_together_and_learn_what_one_learns(project: Path) -> None:
    """Step 5 kills the second process; then both go on after step 3 and end with the curve of one process."""
    ended = two(project, how="kill")
    assert ended.returncode != 0
    errors = re.findall(r"^error: .*$", ended.stderr, re.MULTILINE)
    assert len(errors) == 1 and "another process of this training has gone" in errors[0]
    assert "copilot/" not in ended.stderr.partition("Traceback")[2], "only the launcher's own traceback"
    checkpoints = project / "two" / "small" / "checkpoints"
    assert is_whole(checkpoints / "checkpoint-3")
    assert (checkpoints / "checkpoint-3" / "rng_state_1.pth").is_file()

    done = two(project, "--resume", how="whole")
    assert done.returncode == 0, done.stderr
    for said in ("going on after checkpoint-3", "2 processes", "training: 8", "train: 8 steps, held-out loss"):
        assert done.stderr.count(said) == 1, said
    assert "Traceback" not in done.stderr and done.stdout == ""
    wanted, found = curve(project, "one"), curve(project, "two")
    assert [entry[0] for entry in found] == list(range(9)) and len(wanted) == 9
    for one, other in zip(wanted, found, strict=True):
        assert other == pytest.approx(one, abs=1e-4)
    assert sorted(p.name for p in (project / "two" / "small").iterdir() if p.name[0] != ".") == ["adapter", "index"]


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


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED"])
def test_sharded_training_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environment = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", f"ACCELERATE_USE_{name}": "true"}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(CopilotError, match=name) as caught:
        launched()
    assert caught.value.code == 2 and caught.value.hint


def test_pipeline_is_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(CopilotError, match="only train together") as caught:
        run_pipeline(Config(output_dir=str(tmp_path)), Terminal(quiet=True), "", Options())
    assert caught.value.code == 2 and "copilot train" in caught.value.hint
