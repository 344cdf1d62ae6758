"""Training in one process and in two, with the same rows in a step: loss curves, adapters and seconds side by side.

    python benchmarks/two_gpus.py CHECKPOINT [--out FOLDER] [--steps 12] [--only rows,packs,sharded,sharded-packs]

CHECKPOINT is a model folder (benchmarks/make_checkpoint.py makes one). Two GPUs; about three minutes, of which most are
imports. What `copilot train` calls once it has its rows is called here under torchrun with rows of random words, so
neither an index nor an embeddings model is needed. `rows` trains without packs: both read the same rows in the same
steps, so the curves may differ by rounding only. `packs`: which rows share a step depends on the number of processes,
so only the held-out loss can be compared. `sharded` and `sharded-packs` (not by default) are the same in bf16 instead
of 4 bits, where each of the two processes holds its part of the base model (FSDP). `--cpu` runs it all on a CPU (gloo),
on a small checkpoint. Exit code 1 when curves differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = 8  # in a step, over all processes
HELD_OUT = 8  # rows
WORDS = 20  # of the vocabulary, so that there is something to learn
CLOSE = {"rows": 0.01, "packs": 0.05, "sharded": 0.01, "sharded-packs": 0.05}  # nats, of bf16 and other rows in a step
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
Curve = list[dict[str, float]]


def train(args: argparse.Namespace, part: str, out: Path) -> None:
    """One of the processes that train together; the first leaves the log and the adapter in `out`."""
    sys.path.insert(0, str(ROOT / "src"))
    import torch
    from bare import rows

    from copilot.config import Lora, Model, Train
    from copilot.model.dataset import Row
    from copilot.model.load import load_model
    from copilot.model.processes import together
    from copilot.model.trainer import train_adapter

    sharded, packs = part.startswith("sharded"), part.endswith("packs")
    kind: dict[str, Any] = {"load_in_4bit": not (args.cpu or sharded), "dtype": "float32" if args.cpu else "auto"}
    model = Model(name=str(args.checkpoint.resolve()), backend="transformers", max_length=args.longest, **kind)
    made = [[1000 + token % WORDS for token in row[: args.longest]] for row in rows(args.steps * ROWS + HELD_OUT)]
    data = [Row(i, (), tuple(ids), len(ids) // 2) for i, ids in enumerate(made)]
    times = [time.perf_counter()]
    with together() as processes:
        config = Train(
            per_device_train_batch_size=(ROWS if packs else ROWS // 2) // processes.count,
            gradient_accumulation_steps=1 if packs else 2,
            packing=packs,
            learning_rate=2e-3,
            max_steps=args.steps,
            eval_steps=max(args.steps // 3, 1),
            save_steps=10_000,
            lora=Lora(r=16, alpha=32),
        )
        trained, done = train_adapter(
            load_model(model, training=True, sharded=processes.sharded),
            data[HELD_OUT:],
            data[:HELD_OUT],
            config,
            model,
            seed=0,
            checkpoints=out / "checkpoints",
            fingerprint="",
            resume=False,
            on_step=lambda step, steps, loss, held_out=None: times.append(time.perf_counter()),
            processes=processes,
            say=lambda text: print(text, flush=True),
        )
        if processes.first:
            trained.model.save_pretrained(out / "adapter")
            steps = sorted(b - a for a, b in pairwise(times))
            found = {"log": done.log, "seconds": steps[len(steps) // 2], "processes": processes.count}
            weights = [getattr(weight, "_local_tensor", weight) for weight in trained.model.parameters()]
            found["weights"] = sum(weight.numel() * weight.element_size() for weight in weights) / 2**30
            found["peak"] = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
            (out / "done.json").write_text(json.dumps(found), encoding="utf-8")


def begin(args: argparse.Namespace, work: Path, part: str, count: int, gpus: str) -> "subprocess.Popen[bytes]":
    """Training in `count` processes, its output to a log."""
    out = work / f"{part}{count}"
    out.mkdir()
    own = ["--child", part, "--out", str(out), "--steps", str(args.steps), "--longest", str(args.longest)]
    launch = TORCHRUN if count > 1 else []
    command = [sys.executable, *launch, __file__, str(args.checkpoint.resolve()), *own, *["--cpu"] * args.cpu]
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")}
    environment = {**clean, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": gpus}
    environment["ACCELERATE_USE_FSDP"] = str(part.startswith("sharded")).lower()
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


def done(work: Path, name: str) -> dict[str, Any]:
    """What a training left: its log, seconds and number of processes."""
    return dict(json.loads((work / name / "done.json").read_text("utf-8")))


def adapters_apart(work: Path, part: str) -> float:
    """The length of the difference of the adapters' weights, as a share."""
    import torch
    from safetensors.torch import load_file

    one, two = (load_file(work / f"{part}{count}" / "adapter" / "adapter_model.safetensors") for count in (1, 2))
    if one.keys() != two.keys():
        raise SystemExit(f"{part}: adapters of different layers")
    a, b = (torch.cat([made[name].double().flatten() for name in sorted(made)]) for made in (one, two))
    return float((a - b).norm() / a.norm())


def compare(work: Path, part: str) -> bool:
    """Print both curves; whether they are close."""
    one, two = done(work, f"{part}1"), done(work, f"{part}2")
    if (one["processes"], two["processes"]) != (1, 2):
        print(f"FAIL {part}: {one['processes']} and {two['processes']} processes trained")
        return False
    print(f"\n{part}: step, loss of one process and of two, held-out loss of both", flush=True)
    apart = []
    for a, b in zip(one["log"], two["log"], strict=True):
        words = [f"{int(a['step']):4}"]
        for key in ("loss", "held_out_loss"):
            if key in a and key in b:
                words.append(f"{a[key]:.5f} {b[key]:.5f}")
                if not part.endswith("packs") or key == "held_out_loss":
                    apart.append(abs(a[key] - b[key]))
        print("  ".join(words))
    good = max(apart) <= CLOSE[part]
    print(
        f"{'PASS' if good else 'FAIL'} {part}: at most {max(apart):.5f} apart (limit {CLOSE[part]}); adapters off by "
        f"{adapters_apart(work, part):.2%}; median step {one['seconds']:.2f} s by one, {two['seconds']:.2f} s by two; "
        f"weights {one['weights']:.2f} and {two['weights']:.2f} GiB, peak {one['peak']:.2f} and {two['peak']:.2f} GiB",
        flush=True,
    )
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, help="an empty folder where logs and runs stay; else they are removed")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--longest", type=int, default=2048, help="tokens that rows are cut to")
    parser.add_argument("--only", default="rows,packs")
    parser.add_argument("--budget", type=float, default=300, help="seconds for everything")
    parser.add_argument("--cpu", action="store_true", help="float32 and gloo")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        train(args, args.child, args.out)
        return
    parts, deadline = args.only.split(","), time.monotonic() + args.budget
    with nullcontext(args.out) if args.out else tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        work.mkdir(parents=True, exist_ok=True)
        sys.exit(0 if measure(args, work, parts, deadline) else 1)


def measure(args: argparse.Namespace, work: Path, parts: list[str], deadline: float) -> bool:
    """Each part in one process (side by side, a GPU each), then each in two."""
    began = time.monotonic()
    alone = {part: begin(args, work, part, 1, "" if args.cpu else str(n % 2)) for n, part in enumerate(parts)}
    good = [ended(process, work, f"{part}1", deadline) for part, process in alone.items()]
    print(f"one process: {time.monotonic() - began:.0f} s", flush=True)
    for part in parts:
        good.append(ended(begin(args, work, part, 2, "" if args.cpu else "0,1"), work, f"{part}2", deadline))
        print(f"two processes, {part}: {time.monotonic() - began:.0f} s", flush=True)
    if not all(good):
        return False
    close = [compare(work, part) for part in parts]  # all are printed
    return all(close)


if __name__ == "__main__":
    main()
