"""Training that is killed or interrupted and goes on, against the same training left alone: bit for bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_lm import model_config, rows_of, save_model, train_config, write_rows
from tiny_project import make_project

from copilot.config_file import load_config
from copilot.errors import CopilotError, Exit, StaleError
from copilot.model.checkpoints import WHOLE, is_whole, last_checkpoint
from copilot.model.dataset import held_out_split
from copilot.model.load import Loaded, load_model
from copilot.model.trainer import Trained, train_adapter
from copilot.pipeline import run_index
from copilot.terminal import Terminal

pytestmark = pytest.mark.slow
STEPS = 11  # two epochs and three quarters of batches of 2 x 2 from 16 rows, so that the end falls inside an epoch


def run(
    root: Path, checkpoints: Path, resume: bool, on_step: Callable[[int], None] = lambda at: None, packing: bool = False
) -> tuple[Loaded, Trained]:
    """Train on the rows of `root`, with dropout so that random state matters too."""
    lora = {"r": 4, "alpha": 8, "dropout": 0.1}
    config = train_config(num_train_epochs=2.75, save_steps=2, save_total_limit=3, lora=lora, packing=packing)
    loaded = load_model(model_config(root / "model"))
    kept, out = held_out_split(rows_of(root / "train.jsonl", loaded.tokenizer), 0.1)

    def step(at: int, total: int, loss: float, held_out: float | None = None) -> None:
        if held_out is None:
            on_step(at)

    return train_adapter(loaded, kept, out, config, model_config(root / "model"), 5, checkpoints, "mark", resume, step)


def weights(loaded: Loaded) -> dict[str, Any]:
    return {n: p.detach().clone() for n, p in loaded.model.named_parameters() if "lora_" in n}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resume")
    save_model(root / "model")
    write_rows(root / "train.jsonl", 18)
    return root


@pytest.fixture(scope="module")
def whole(root: Path) -> tuple[dict[str, Any], Trained]:
    """What the training gives when nothing happens to it."""
    loaded, done = run(root, root / "whole", resume=False)
    assert done.steps == STEPS and len(done.log) == STEPS + 1
    return weights(loaded), done


@pytest.fixture(scope="module")
def killed(root: Path) -> Path:
    """The checkpoints of a process that got SIGKILL at step 7."""
    script = (
        "import os, signal, sys; from pathlib import Path; import torch; torch.set_num_threads(1); import test_resume\n"
        "kill = lambda at: os.kill(os.getpid(), signal.SIGKILL) if at == 7 else None\n"
        "test_resume.run(Path(sys.argv[1]), Path(sys.argv[2]), False, kill)"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", script, str(root), str(root / "killed")]
    ended = subprocess.run(command, env=here, capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return root / "killed"


def same(loaded: Loaded, done: Trained, whole: tuple[dict[str, Any], Trained]) -> None:
    import torch

    wanted, untouched = whole
    found = weights(loaded)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    keys = ("step", "loss", "grad_norm", "learning_rate", "held_out_loss")
    assert [[e.get(k) for k in keys] for e in done.log] == [[e.get(k) for k in keys] for e in untouched.log]
    assert (done.steps, done.loss_before, done.loss_after) == (STEPS, untouched.loss_before, untouched.loss_after)
    assert done.adapter_norm == untouched.adapter_norm


def test_killed_training_goes_on_bit_for_bit(
    root: Path, killed: Path, whole: tuple[dict[str, Any], Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    copy = shutil.copytree(killed, tmp_path / "c")
    start = last_checkpoint(copy, "mark")
    assert start is not None and start.name == "checkpoint-6"
    seen, first, load = [], [], torch.load

    def watched(*args: Any, **options: Any) -> Any:
        seen.append(options.get("weights_only"))
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", watched)
    loaded, done = run(root, copy, resume=True, on_step=first.append)
    assert first == [7, 8, 9, 10, 11]
    assert seen and all(flag is True for flag in seen), "a checkpoint must never be opened as an arbitrary pickle"
    same(loaded, done, whole)


@pytest.mark.parametrize("harm", ["no mark", "cut file", "missing file", "broken mark"])
def test_checkpoint_cut_short_is_left_for_the_one_before(killed: Path, tmp_path: Path, harm: str) -> None:
    copy = shutil.copytree(killed, tmp_path / "c")
    newest = copy / "checkpoint-6"
    assert is_whole(newest)
    match harm:
        case "no mark":
            (newest / WHOLE).unlink()
        case "cut file":
            with (newest / "optimizer.pt").open("r+b") as file:
                file.truncate(100)
        case "missing file":
            (newest / "adapter_model.safetensors").unlink()
        case _:
            (newest / WHOLE).write_text('{"step": ')
    assert not is_whole(newest)
    assert last_checkpoint(copy, "mark") == copy / "checkpoint-4"


def test_training_goes_on_from_the_one_before(
    root: Path, killed: Path, whole: tuple[dict[str, Any], Trained], tmp_path: Path
) -> None:
    copy = shutil.copytree(killed, tmp_path / "c")
    (copy / "checkpoint-6" / WHOLE).unlink()
    (copy / "checkpoint-6" / "optimizer.pt").write_bytes(b"half")
    first: list[int] = []
    loaded, done = run(root, copy, resume=True, on_step=first.append)
    assert first[0] == 5
    same(loaded, done, whole)


def test_killed_after_the_last_step_adds_no_step(
    root: Path, whole: tuple[dict[str, Any], Trained], tmp_path: Path
) -> None:
    copy = shutil.copytree(root / "whole", tmp_path / "c")
    assert last_checkpoint(copy, "mark") == copy / f"checkpoint-{STEPS}"
    first: list[int] = []
    loaded, done = run(root, copy, resume=True, on_step=first.append)
    assert first == []
    same(loaded, done, whole)


def test_interrupt_leaves_a_checkpoint_and_says_resume(
    root: Path, whole: tuple[dict[str, Any], Trained], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def press(at: int) -> None:
        if at == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(CopilotError) as caught:
        run(root, tmp_path / "c", resume=False, on_step=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert caught.value.code == Exit.INTERRUPTED == 130
    assert "--resume" in caught.value.message and "\n" not in caught.value.message and not caught.value.hint
    assert "stopping after this step" in capfd.readouterr().err
    start = last_checkpoint(tmp_path / "c", "mark")
    assert start is not None and int(start.name.rpartition("-")[2]) in (3, 4)
    loaded, done = run(root, tmp_path / "c", resume=True)
    same(loaded, done, whole)


def test_packs_go_on_bit_for_bit(root: Path, tmp_path: Path) -> None:
    import torch

    def press(at: int) -> None:
        if at == 3:
            os.kill(os.getpid(), signal.SIGINT)

    wanted, untouched = run(root, tmp_path / "whole", resume=False, packing=True)
    with pytest.raises(CopilotError, match=r"interrupted after step [34] of"):
        run(root, tmp_path / "c", resume=False, on_step=press, packing=True)
    loaded, done = run(root, tmp_path / "c", resume=True, packing=True)
    assert done.steps == untouched.steps and done.curve == untouched.curve
    assert [e.get("loss") for e in done.log] == [e.get("loss") for e in untouched.log]
    assert all(torch.equal(weights(loaded)[name], value) for name, value in weights(wanted).items())


def test_second_interrupt_ends_at_once(root: Path, tmp_path: Path) -> None:
    def press_twice(at: int) -> None:
        if at == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(CopilotError, match=r"interrupted.*--resume") as caught:
        run(root, tmp_path / "c", resume=False, on_step=press_twice)
    assert caught.value.code == 130
    assert last_checkpoint(tmp_path / "c", "mark") == tmp_path / "c" / "checkpoint-2"


def test_checkpoints_of_other_settings_are_refused(killed: Path) -> None:
    with pytest.raises(StaleError, match="other settings or data") as caught:
        last_checkpoint(killed, "another mark")
    assert caught.value.code == 3 and "without --resume" in caught.value.hint


def test_no_checkpoints_at_all(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none", "mark") is None
    (tmp_path / "fingerprint.json").write_text(json.dumps("mark"))
    assert last_checkpoint(tmp_path, "mark") is None


# The real command, killed five times. Forked children run it, so that the libraries are imported once; not where there
# is a GPU, which a process that has been forked cannot open if its parent looked at it.
KILLED = """
import json, os, random, signal, sys, traceback
if "gpu" not in sys.argv:
    import peft, transformers, trl
import copilot.cli, copilot.model.trainer as trainer, copilot.model.watch as watch, copilot.pipeline

def command(out, *flags, kill=None, saving=False):
    child = os.fork()
    if not child:
        code = 1
        try:
            if kill:
                deadly(kill, saving)
            sys.argv = ["copilot", "train", "-c", "copilot.yaml", "--output-dir", out, *SETS, *flags]
            copilot.cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def deadly(kill, saving):
    make, mark = trainer.make_report, watch.mark_whole
    def make_report(on_step, *rest):
        def told(step, *more):
            if step == kill and not saving:
                os.kill(os.getpid(), signal.SIGKILL)
            on_step(step, *more)
        return make(told, *rest)
    def mark_whole(folder, step):
        if step >= kill and saving:  # in the midst of a checkpoint
            (folder / "optimizer.pt").write_bytes((folder / "optimizer.pt").read_bytes()[:100])
            os.kill(os.getpid(), signal.SIGKILL)
        mark(folder, step)
    trainer.make_report, watch.mark_whole = make_report, mark_whole

SETS = sys.argv[2:]
assert command("whole") == 0
chosen = random.Random(3)
kills = sorted(chosen.sample(range(2, 14), 5))
ends = []
for n, kill in enumerate(kills):
    ends.append(command("cut", *(["--resume"] if n else []), kill=kill, saving=n in (1, 3)))
    left = sorted(os.listdir("cut/small/checkpoints"))
    print(json.dumps({"kill": kill, "end": ends[-1], "left": left}))
print(json.dumps({"end": command("cut", "--resume")}))
"""


SETTINGS = ["train.max_steps=14", "train.save_steps=2", "train.eval_steps=3", "train.lora.dropout=0.1"]


def kill_five_times(project: Path, settings: list[str], device: str) -> list[Path]:
    """The adapter of training left alone and of training killed five times; the kills checked."""
    make_project(project)
    for out in ("whole", "cut"):
        options = [*settings, f"output_dir={project / out}"]
        run_index(load_config(str(project / "copilot.yaml"), options), Terminal(quiet=True))
    command = [sys.executable, "-c", KILLED, device, *(word for text in settings for word in ("--set", text))]
    here = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=project, env=here, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    *kills, last = map(json.loads, ended.stdout.splitlines())
    assert len(kills) == 5 and {kill["end"] for kill in kills} == {-signal.SIGKILL} and last["end"] == 0
    wanted = [(kill["kill"] - 1) // 2 * 2 for kill in kills]  # the last whole checkpoint; 0: none
    resumed = re.findall(r"going on after checkpoint-(\d+)|no whole checkpoint, from the start", ended.stderr)
    assert [int(step or 0) for step in resumed] == wanted and len(set(wanted)) >= 4
    cut = [kill for kill in kills if f"checkpoint-{(kill['kill'] - 1) // 2 * 2 + 2}" in kill["left"]]
    assert cut, "a checkpoint was cut short, and the one before it used"
    return [project / out / "small" / "adapter" for out in ("whole", "cut")]


def test_five_kills_of_the_real_command_change_no_bit(tmp_path: Path) -> None:
    """Three at a step, two while a checkpoint is written; seeded steps of fourteen, with dropout."""
    whole, cut = kill_five_times(tmp_path / "project", SETTINGS, "cpu")
    for name in ("adapter_model.safetensors", "training_log.jsonl", "loss.png"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_five_kills_on_a_gpu(tmp_path: Path) -> None:
    """In packs, as is the default: curve and adapter within 1e-3 of those of training left alone."""
    settings = [*SETTINGS[:3], "train.packing=true", "train.pack_tokens=512", "model.dtype=bfloat16"]
    settings.append(f"embeddings.model={os.environ.get('TEST_EMBEDDINGS', 'offline:all-MiniLM-L6-v2')}")
    whole, cut = kill_five_times(tmp_path / "project", settings, "gpu")
    curves = [
        [json.loads(line) for line in (folder / "training_log.jsonl").read_text("utf-8").splitlines()]
        for folder in (whole, cut)
    ]
    assert len(curves[0]) == len(curves[1]) > 14
    for one, other in zip(*curves, strict=True):
        for key in ("step", "loss", "held_out_loss"):
            assert one.get(key) == pytest.approx(other.get(key), rel=1e-3, abs=1e-3)
    left, right = (load_file(folder / "adapter_model.safetensors") for folder in (whole, cut))
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert (tensor.float() - right[name].float()).abs().max() <= 1e-3, name
