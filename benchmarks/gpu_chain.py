"""A checkpoint in; the whole product run over it on a GPU, part by part, each timed, checked and said on one line.

    python benchmarks/gpu_chain.py CHECKPOINT OUT [--embeddings huggingface:/tmp/minilm] [--budget 500]
    python benchmarks/gpu_chain.py CHECKPOINT OUT --cpu          # what needs a GPU is left out and said

Parts: `copilot pipeline` in 4-bit as it is by default (packs), by unsloth and by transformers without packs, and of the
original recipe with Azure OpenAI embeddings from a server on this machine; then the first adapter opened by plain peft
and by unsloth, and merged.
OUT gets chain.txt (the lines) and chain.log (everything the parts printed); run folders go to --work.
A random checkpoint (make_checkpoint.py) answers nonsense, so few questions and steps are enough; the checks stay.
Exit code 1 when a part failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure_server import AzureServer
from json_server import running

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = ["How do I delete a contact, and can I get it back?", "How do I clear a range of cells?"]
LIMIT = 8  # evaluation questions
SHORT = {
    "evaluation.limit": LIMIT,
    "answer.max_new_tokens": 96,
    "demo.questions": json.dumps(QUESTIONS),
}
FEW_STEPS = {"train.max_steps": 12}
ON_CPU = {"model.backend": "transformers", "model.load_in_4bit": "false", "model.dtype": "float32"}
TAIL = 12  # lines of a failed part's output that are shown
LEAST = 15  # s: with less left, a part is not begun


class Failed(Exception):
    """Why a part did not do what it should."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What all parts share."""

    checkpoint: Path
    out: Path
    work: Path
    embeddings: str
    cpu: bool
    sets: tuple[str, ...]  # further --set, for all pipelines
    deadline: float  # s of time.monotonic
    limit: float = 200  # s of a part

    def copilot(self, config: str, name: str, sets: dict[str, Any], env: dict[str, str] | None = None) -> Path:
        """`copilot pipeline` from nothing, in a process of its own; the run's folder."""
        given = {"run.name": name, "model.name": self.checkpoint, **sets, **(ON_CPU if self.cpu else {})}
        flags = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        flags += [part for text in self.sets for part in ("--set", text)]
        shutil.rmtree(self.work / name, ignore_errors=True)
        command = [
            "-m",
            "copilot.cli",
            "pipeline",
            "-c",
            str(ROOT / "configs" / config),
            "--output-dir",
            str(self.work),
        ]
        self.python([*command, "-v", *flags], env)
        return self.work / name

    def python(self, arguments: Sequence[str], env: dict[str, str] | None = None) -> str:
        """Run Python on `arguments`; its stdout. Raises Failed with the end of its stderr."""
        return self.run(arguments, env).stdout

    def run(self, arguments: Sequence[str], env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """The same with all that was printed."""
        left = min(self.deadline - time.monotonic(), self.limit)
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=max(left, 1),
                cwd=self.work,  # libraries leave caches where they run
                env={**environment(), **(env or {})},
            )
        except subprocess.TimeoutExpired as error:
            self.log(arguments, *(_text(part) for part in (error.stdout, error.stderr)))
            raise Failed(f"did not end in the {left:.0f} s that were left\n{tail(_text(error.stderr))}") from None
        self.log(arguments, done.stdout, done.stderr)
        if done.returncode:
            raise Failed(f"exit code {done.returncode}\n{tail(done.stderr)}")
        return done

    def log(self, arguments: Sequence[str], stdout: str, stderr: str) -> None:
        """Add what a process printed to OUT/chain.log."""
        with (self.out / "chain.log").open("a", encoding="utf-8") as file:
            file.write(f"$ python {' '.join(arguments)}\n--- stderr\n{stderr}\n--- stdout\n{stdout}\n")

    def tell(self, line: str) -> None:
        """A line to stdout and to OUT/chain.txt."""
        print(line, flush=True)
        with (self.out / "chain.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _text(data: str | bytes | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""


def environment() -> dict[str, str]:
    """This one's, with the source on the path, nothing asked of the hub and no proxy before this machine."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {**os.environ, **offline, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}


def tail(text: str) -> str:
    """The last lines, indented."""
    return "\n".join(f"      {line}" for line in text.strip().splitlines()[-TAIL:])


# The parts; each returns a sentence about what it found


def in_packs(chain: Chain) -> str:
    """configs/default.yaml as it is: packs, by TRL's trainer and our forward."""
    run = chain.copilot("default.yaml", "packs", {**SHORT, **FEW_STEPS, "embeddings.model": chain.embeddings})
    return check_run(run, "transformers", 384, fell=True)


def by_unsloth(chain: Chain) -> str:
    """The same without packs: backend auto is unsloth then, on a GPU."""
    sets = {**SHORT, **FEW_STEPS, "embeddings.model": chain.embeddings, "train.packing": "false"}
    return check_run(chain.copilot("default.yaml", "unsloth", sets), "unsloth", 384, fell=True)


def by_transformers(chain: Chain) -> str:
    """The same by PEFT and bitsandbytes (in float32 on a CPU)."""
    sets = {**SHORT, **FEW_STEPS, "embeddings.model": chain.embeddings, "train.packing": "false"}
    sets["model.backend"] = "transformers"
    return check_run(chain.copilot("default.yaml", "transformers", sets), "transformers", 384, fell=True)


SMALL_CARD = """
import torch
from copilot.cli import main
torch.cuda.set_per_process_memory_fraction(6 * 2**30 / torch.cuda.mem_get_info()[1])
main()
"""


def small_card(chain: Chain) -> str:
    """`copilot train` of the first part again, in 6 GiB of GPU memory: it must choose, and say, what fits."""
    config, work = str(ROOT / "configs" / "default.yaml"), str(chain.work)
    sets = ["run.name=packs", f"model.name={chain.checkpoint}", f"embeddings.model={chain.embeddings}"]
    flags = [part for text in [*sets, "train.max_steps=8"] for part in ("--set", text)]
    command = ["-c", SMALL_CARD, "train", "-c", config, "--output-dir", work, "--force", "-v", *flags]
    said = chain.run(command).stderr
    lines = [
        line.removeprefix("train: ") for line in said.splitlines() if "packs of" in line or "held-out loss" in line
    ]
    if not any("checkpointing on" in line for line in lines):
        raise Failed(f"no checkpointing in 6 GiB: {lines}")
    return "; ".join(lines)


def original(chain: Chain) -> str:
    """configs/original.yaml, its embeddings through the real client from a server that speaks Azure's protocol."""
    with running(AzureServer()) as server:
        env = {"AZURE_OPENAI_API_KEY": server.key, "AZURE_OPENAI_ENDPOINT": server.url}
        run = chain.copilot("original.yaml", "original", SHORT, env | {"OPENAI_API_VERSION": "2024-10-21"})
        said = check_run(run, "transformers" if chain.cpu else "unsloth", 1536, fell=False)
        lora = read(run / "adapter" / "adapter_config.json")
        expect("rank and layers", (lora["r"], sorted(lora["target_modules"])), (4, ["k_proj", "q_proj", "v_proj"]))
        chunks = read(run / "index" / "manifest.json")["chunks"]
        if server.texts < chunks:
            raise Failed(f"the server embedded {server.texts} texts, the index has {chunks} chunks")
        return f"{said}; {server.texts} texts embedded in {server.requests} requests"


def opened(chain: Chain, by: str) -> str:
    """The adapter of `trained` opened by peft, by unsloth, or merged by peft in float32."""
    four_bit = [] if by == "merged" or chain.cpu else ["--four-bit"]
    script = str(ROOT / "benchmarks" / "open_adapter.py")
    scores = str(chain.work / f"{by}.npy")
    printed = chain.python([script, str(trained(chain) / "adapter"), scores, "--by", by, *four_bit])
    found = json.loads(printed.strip().splitlines()[-1])
    said = f"{found['modules']} adapted layers, weights as in the file"
    if by == "merged":
        expect("the merged answer", found["merged"], found["answer"])
        return f"{said}; 32 greedy tokens the same merged; scores differ by {found['largest_difference']:.1e}"
    said += f"; changes scores by up to {found['adapter_changes_scores_by']:.2g}"
    if by == "unsloth" and (chain.work / "peft.npy").is_file():
        alike = cosine(chain.work / "peft.npy", chain.work / "unsloth.npy")
        said += f"; cosine with peft's scores {alike:.5f}"
        if alike < 0.99:
            raise Failed(said)
    return said


def trained(chain: Chain) -> Path:
    """The run whose adapter is opened: that in packs where there is one, else unsloth's or transformers'."""
    runs = [chain.work / name for name in ("packs", "unsloth", "transformers")]
    found = next((run for run in runs if (run / "adapter" / "manifest.json").is_file()), None)
    if found is None:
        raise Failed("no pipeline left an adapter")
    return found


def check_run(run: Path, backend: str, dimension: int, fell: bool) -> str:
    """A run folder holds what a finished pipeline leaves, and its figures are figures. Raises Failed."""
    record, adapter = read(run / "run.json"), read(run / "adapter" / "manifest.json")
    expect("stages", {stage: what["state"] for stage, what in record["stages"].items()}, dict.fromkeys(STAGES, "fresh"))
    expect("backend", adapter["backend"], backend)
    expect("dimension of the index", record["index"]["dimension"], dimension)
    if not 0 < adapter["adapter_norm"] < float("inf"):
        raise Failed(f"adapter norm {adapter['adapter_norm']}")
    before, after = adapter["loss_before"], adapter["loss_after"]
    if fell and not (before and after and after < before):
        raise Failed(f"held-out loss {before} → {after}")
    evaluation, demo = read(run / "evaluation.json"), read(run / "demo.json")
    expect("questions evaluated", len(evaluation["questions"]), LIMIT)
    expect("demo questions", [a["question"] for a in demo["answers"]], QUESTIONS)
    for answer in demo["answers"]:
        headings = sum(line.startswith("### ") for line in answer["answer"].splitlines())
        expect("sections of a demo answer", headings, 4)
    loss = f"held-out loss {before:.3f} → {after:.3f}" if before and after else "no held-out rows"
    return f"{adapter['steps']} steps, {loss}, {LIMIT} questions to three models, {len(QUESTIONS)} demo answers"


STAGES = ("index", "train", "evaluate", "demo")


def read(path: Path) -> Any:
    """A JSON file. Raises Failed when there is none."""
    if not path.is_file():
        raise Failed(f"no {path.name} in {path.parent}")
    return json.loads(path.read_text(encoding="utf-8"))


def expect(what: str, found: object, wanted: object) -> None:
    """Raise Failed unless they are equal."""
    if found != wanted:
        raise Failed(f"{what}: {found!r}, expected {wanted!r}")


def cosine(a: Path, b: Path) -> float:
    """Between two saved vectors, their means taken away."""
    import numpy as np

    x, y = (np.load(path).astype(np.float64) for path in (a, b))
    return float(np.corrcoef(x, y)[0, 1])


PARTS: dict[str, tuple[bool, Callable[[Chain], str]]] = {  # name → (needs a GPU, what)
    "packs": (False, in_packs),
    "6 GiB card": (True, small_card),
    "transformers": (False, by_transformers),
    "peft opens it": (False, lambda chain: opened(chain, "peft")),
    "merged": (False, lambda chain: opened(chain, "merged")),
    "unsloth": (True, by_unsloth),
    "unsloth opens it": (True, lambda chain: opened(chain, "unsloth")),
    "original": (False, original),
}


def run_parts(chain: Chain, only: Sequence[str]) -> int:
    """Run the parts that `only` names (none: all); how many failed."""
    failed = 0
    for name, (needs_gpu, part) in PARTS.items():
        if only and name not in only:
            continue
        if needs_gpu and chain.cpu:
            chain.tell(f"SKIP  {name:<17}          needs a GPU")
            continue
        if chain.deadline - time.monotonic() < LEAST:
            chain.tell(f"FAIL  {name:<17}          not begun: the time is up")
            failed += 1
            continue
        began = time.monotonic()
        try:
            word, said = "PASS", part(chain)
        except Failed as error:
            word, said, failed = "FAIL", str(error), failed + 1
        except Exception as error:  # the other parts still run
            word, said, failed = "FAIL", f"{type(error).__name__}: {error}", failed + 1
        chain.tell(f"{word}  {name:<17} {time.monotonic() - began:6.1f} s {said}")
    return failed


def has_gpu() -> bool:
    """Asked in another process, so that this one takes no memory of the GPU."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def main() -> None:
    """Read the flags, run, and exit with 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--embeddings", default="offline:all-MiniLM-L6-v2", help="of the first two; 384 dimensions")
    parser.add_argument("--work", type=Path, help="where run folders go; else a folder that is removed at the end")
    parser.add_argument("--budget", type=float, default=560, help="seconds for everything")
    parser.add_argument("--limit", type=float, default=200, help="seconds for a part")
    parser.add_argument("--only", action="append", default=[], choices=list(PARTS), help="one part (repeatable)")
    parser.add_argument("--set", action="append", default=[], dest="sets", help="further settings of all pipelines")
    parser.add_argument("--cpu", action="store_true", help="float32 by transformers; chosen where there is no GPU")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with nullcontext(args.work) if args.work else tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        cpu = args.cpu or not has_gpu()
        deadline = time.monotonic() + args.budget
        chain = Chain(
            args.checkpoint.resolve(),
            args.out.resolve(),
            folder,
            args.embeddings,
            cpu,
            tuple(args.sets),
            deadline,
            args.limit,
        )
        for name in ("chain.txt", "chain.log"):
            (chain.out / name).unlink(missing_ok=True)
        failed = run_parts(chain, args.only)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
