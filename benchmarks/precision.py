"""A model folder in; what it costs on a CPU as ONNX in each precision, and by transformers in bf16: a table out.

    python benchmarks/make_checkpoint.py ck                     # the shape of Llama-3.2-1B, random weights
    OMP_NUM_THREADS=1 python benchmarks/precision.py ck [--read 1500] [--write 64] [--only int4,int8]

Each variant is exported as `copilot export` does it, opened in a process of its own, measured and deleted, one after
the other: fp32 of 1 B parameters takes 10 GB of memory to export and 5 GB to run. Seconds are those of a core, since
the machine may be shared; -a1 are activations in fp32, without it in 8 bits.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VARIANTS = {  # precision and the exporter's settings
    "fp32": ("fp32", []),
    "int8": ("int8", ["accuracy_level=4"]),
    "int8-a1": ("int8", ["accuracy_level=1"]),
    "int4": ("int4", ["accuracy_level=4"]),
    "int4-a1": ("int4", ["accuracy_level=1"]),
}
THEIRS = "transformers bf16"


def spent() -> float:
    """Seconds of a core that this process has taken."""
    return time.process_time()


def run_onnx(folder: Path, read: int, write: int) -> dict[str, float]:
    """Read and write by `Decoder`, as `OnnxGenerator` does without a grammar and guesses."""
    import numpy as np

    from copilot.model.onnx import AT_ONCE
    from copilot.model.onnx_decoder import Decoder

    began = spent()
    decoder = Decoder(folder, read + write + 1)
    opened = spent()
    ids = np.random.default_rng(0).integers(1000, 6000, read).tolist()
    for at in range(0, read - 1, AT_ONCE):
        decoder.read_on(ids[at : min(at + AT_ONCE, read - 1)], at)
    token = int(decoder.read(ids[-1:], read - 1)[-1].argmax())
    done = spent()
    for n in range(write):
        token = int(decoder.read([token], read + n)[-1].argmax())
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return figures(opened - began, done - opened, spent() - done, size)


def run_transformers(folder: Path, read: int, write: int) -> dict[str, float]:
    """The same by transformers, all of the prompt at once."""
    import torch
    from transformers import AutoModelForCausalLM

    began = spent()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    opened = spent()
    ids = torch.randint(1000, 6000, (1, read), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        out = model(ids, use_cache=True, logits_to_keep=1)
        done = spent()
        for _ in range(write):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e6
    return figures(opened - began, done - opened, spent() - done, size)


def figures(opened: float, read: float, write: float, size: float) -> dict[str, float]:
    """What a child reports."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"open": opened, "read": read, "write": write, "size": size, "peak": peak}


def export(source: Path, folder: Path, variant: str) -> None:
    """One export."""
    from copilot.model.onnx_export import create, silent

    precision, settings = VARIANTS[variant]
    with silent():
        create(source, folder, precision, folder.with_name(folder.name + ".cache"), settings)


def child(options: argparse.Namespace, task: str, variant: str, folder: Path) -> dict[str, Any]:
    """A task in a process of its own, whose memory goes with it."""
    command = [sys.executable, str(Path(__file__).resolve()), str(options.folder), "--child", task, "--only", variant]
    command += ["--at", str(folder), "--read", str(options.read), "--write", str(options.write)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a line a variant as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--read", type=int, default=1500)
    parser.add_argument("--write", type=int, default=64)
    parser.add_argument("--only", default=",".join([*VARIANTS, THEIRS]), help="variants, by commas")
    parser.add_argument("--child", choices=["export", "onnx", "transformers"], help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "export":
        export(options.folder, options.at, options.only)
        print("{}")
        return
    if options.child:
        run = run_onnx if options.child == "onnx" else run_transformers
        print(json.dumps(run(options.at, options.read, options.write)))
        return
    print(f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads, {options.read} tokens read, {options.write} written\n")
    print("| variant | reads, tokens/s of a core | writes, tokens/s of a core | opens | on disk | peak memory |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.only.split(","):
        folder = options.folder if name == THEIRS else options.folder.with_name(f"{options.folder.name}-{name}")
        try:
            if name != THEIRS:
                child(options, "export", name, folder)
            found = child(options, "transformers" if name == THEIRS else "onnx", name, folder)
        finally:
            if name != THEIRS:
                for made in (folder, folder.with_name(folder.name + ".cache")):
                    shutil.rmtree(made, ignore_errors=True)
        read, write = options.read / found["read"], options.write / found["write"]
        rest = f"{found['open']:.1f} s | {found['size']:,.0f} MB | {found['peak']:,.0f} MB"
        print(f"| {name} | {read:.1f} | {write:.2f} | {rest} |", flush=True)


if __name__ == "__main__":
    main()
