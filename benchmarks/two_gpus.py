"""`copilot train` in one process and in two, with the same rows in a step: the loss curves side by side.

    python benchmarks/two_gpus.py CHECKPOINT [--out FOLDER] [--steps 12] [--only rows,packs]

CHECKPOINT is a model folder (benchmarks/make_checkpoint.py makes one). Two GPUs; about three minutes, of which most are
imports. `rows` trains without packs: both read the same rows in the same steps, so the curves may differ by rounding
only. `packs`: which rows share a step depends on the number of processes, so only the held-out loss at the end can be
compared. `--cpu` runs it all on a CPU (gloo), on a small checkpoint. Exit code 1 when curves differ.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = 8  # in a step, over all processes
CLOSE = {"rows": 0.01, "packs": 0.05}  # nats between losses, of bf16 and of other rows in a step
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
Curve = list[dict[str, float]]


def begin(
    args: argparse.Namespace, work: Path, verb: str, part: str, count: int, gpus: str
) -> "subprocess.Popen[bytes]":
    """`copilot train` (or index) in `count` processes, its output to a log."""
    batch = ROWS // 2 // count if part == "rows" else ROWS // count
    sets = {
        "run.name": "run",
        "model.name": args.checkpoint.resolve(),
        "model.backend": "transformers",
        "embeddings.model": args.embeddings,
        "train.packing": str(part == "packs").lower(),
        "train.per_device_train_batch_size": batch,
        "train.gradient_accumulation_steps": 2 if part == "rows" else 1,
        "train.max_steps": args.steps,
        "train.eval_steps": max(args.steps // 3, 1),
    } | ({"model.load_in_4bit": "false", "model.dtype": "float32"} if args.cpu else {})
    flags = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    flags += [word for text in args.sets for word in ("--set", text)]
    launch = TORCHRUN if count > 1 else []
    out = work / f"{part}{count}"
    config = str(ROOT / "configs" / "default.yaml")
    command = [sys.executable, *launch, "-m", "copilot.cli", verb, "-c", config, "--output-dir", str(out), *flags]
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")}
    environment = {**clean, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": gpus}
    with (work / f"{part}{count}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log)


def ended(process: "subprocess.Popen[bytes]", work: Path, name: str, deadline: float) -> bool:
    """Whether it ended well; the end of its log is printed when it did not."""
    try:
        code: int | str = process.wait(max(deadline - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        process.terminate()
        code = "the time is up"
    if code:
        lines = (work / f"{name}.log").read_text(errors="replace").splitlines()
        print(f"FAIL {name}: {code}", *lines[-15:], sep="\n   ", flush=True)
    return code == 0


def curve(work: Path, name: str) -> Curve:
    """What training logged, by step."""
    text = (work / name / "run" / "adapter" / "training_log.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def compare(work: Path, part: str) -> bool:
    """Print both curves; whether they are close."""
    one, two = curve(work, f"{part}1"), curve(work, f"{part}2")
    print(f"\n{part}: step, loss of one process and of two, held-out loss of both", flush=True)
    apart = []
    for a, b in zip(one, two, strict=True):
        words = [f"{int(a['step']):4}"]
        for key in ("loss", "held_out_loss"):
            if key in a and key in b:
                words.append(f"{a[key]:.5f} {b[key]:.5f}")
                if part == "rows" or key == "held_out_loss":
                    apart.append(abs(a[key] - b[key]))
        print("  ".join(words))
    good = max(apart) <= CLOSE[part]
    print(f"{'PASS' if good else 'FAIL'} {part}: at most {max(apart):.5f} apart (limit {CLOSE[part]})", flush=True)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, help="where logs and runs stay; else they are removed")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--only", default="rows,packs")
    parser.add_argument("--embeddings", default="offline:all-MiniLM-L6-v2")
    parser.add_argument("--budget", type=float, default=300, help="seconds for everything")
    parser.add_argument("--cpu", action="store_true", help="float32 and gloo")
    parser.add_argument("--set", action="append", default=[], dest="sets", help="further settings")
    args = parser.parse_args()
    parts, deadline = args.only.split(","), time.monotonic() + args.budget
    with nullcontext(args.out) if args.out else tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        work.mkdir(parents=True, exist_ok=True)
        sys.exit(0 if measure(args, work, parts, deadline) else 1)


def measure(args: argparse.Namespace, work: Path, parts: list[str], deadline: float) -> bool:
    """An index, each part in one process (side by side, a GPU each), then each in two."""
    began = time.monotonic()
    first = f"{parts[0]}1"
    if not ended(begin(args, work, "index", parts[0], 1, "" if args.cpu else "0"), work, first, deadline):
        return False
    for part in parts:
        for count in (1, 2):
            if f"{part}{count}" != first:
                shutil.copytree(work / first, work / f"{part}{count}")
    print(f"index: {time.monotonic() - began:.0f} s", flush=True)
    alone = {part: begin(args, work, "train", part, 1, "" if args.cpu else str(n)) for n, part in enumerate(parts)}
    good = [ended(process, work, f"{part}1", deadline) for part, process in alone.items()]
    print(f"one process: {time.monotonic() - began:.0f} s", flush=True)
    for part in parts:
        process = begin(args, work, "train", part, 2, "" if args.cpu else "0,1")
        good.append(ended(process, work, f"{part}2", deadline))
        print(f"two processes, {part}: {time.monotonic() - began:.0f} s", flush=True)
    if not all(good):
        return False
    close = [compare(work, part) for part in parts]  # all are printed
    return all(close)


if __name__ == "__main__":
    main()
