"""Speed of generation on a GPU, ours beside transformers', unsloth's and paged `generate_batch`, in one call.

    python benchmarks/generate.py FOLDER [--only ours,equal ...] [--out FILE]
    python benchmarks/generate.py FOLDER --prompt 40 --tokens 8 --batches 1,2 --prompts 3     # small, for a CPU

FOLDER is a model (benchmarks/make_checkpoint.py makes one of the Llama-3.2-1B shape). Each part runs in its own process
with a limit of its own and prints as it goes. Every text goes on for the same number of tokens, so stop tokens are
left out, except under the grammar. tokens/s are those after the first; the floor is what a step must read from memory
(all weights, and the keys and values of every row) at the speed of a copy measured here.
torch's cuDNN attention, which plans anew for every length of a text, is off for everybody: transformers' dynamic cache,
which is one longer with each token, is much faster without. transformers writes at most 64 tokens a text, batches 1 and
32 first; each ratio is printed as soon as both numbers are there.
`equal`: greedy tokens against transformers', which reads one prompt at a time; at a first difference, how far the two
tokens' logits are apart in float32 and how far bfloat16 moves logits at that place. `adapter`: the same with LoRA on
all layers, which ours adds to the weights, and what that rounds. `profile` (only where named): the kernels of a step,
by their time.
"""

import argparse
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FIRST = (1, 32)  # the batches whose ratios matter most
PEER_TOKENS = 64  # that transformers writes, at most

PARTS = {  # seconds each may take
    "ours": 75,
    "transformers": 75,
    "equal": 75,
    "held": 60,
    "adapter": 50,
    "unsloth": 60,
    "paged": 45,
    "profile": 60,
}
Row = dict[str, Any]


def main() -> None:
    """Run the parts, then print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument(
        "--only", default=",".join(part for part in PARTS if part != "profile"), help="parts, with commas between"
    )
    parser.add_argument("--batches", default="1,8,32,128")
    parser.add_argument("--prompt", type=int, default=1500, help="tokens before the answer, a tenth more or less")
    parser.add_argument("--tokens", type=int, default=128, help="of each answer")
    parser.add_argument("--prompts", type=int, default=20, help="of the part `equal`")
    parser.add_argument("--out", help="also written here, as JSON lines")
    parser.add_argument("--budget", type=float, default=235, help="seconds for everything")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for part in args.only.split(","):
            left = args.budget - (time.monotonic() - began)
            print(f"-- {part}", flush=True)
            if left < 10:
                print(f"   left out: {args.budget:.0f} s are over", flush=True)
                continue
            notes = Path(folder) / part
            options = [f"--{name}={getattr(args, name)}" for name in ("batches", "prompt", "tokens", "prompts")]
            command = [sys.executable, __file__, args.folder, "--child", part, "--out", str(notes), *options]
            try:
                code = subprocess.run(command, timeout=min(PARTS[part], left)).returncode
                if code:
                    print(f"   {part} failed ({code})", flush=True)
            except subprocess.TimeoutExpired:
                print(f"   {part} took more than {min(PARTS[part], left):.0f} s and was cut", flush=True)
            rows += read_notes(notes)
    ratios(rows)
    print(f"{time.monotonic() - began:.0f} s in all")
    if args.out:
        Path(args.out).write_text("".join(json.dumps(row) + "\n" for row in rows))


def ratios(rows: list[Row]) -> None:
    """Ours over transformers', for each batch of which both are there."""
    mine, theirs = (
        {row["batch"]: row["rate"] for row in rows if row["part"] == part} for part in ("ours", "transformers")
    )
    for batch in sorted(mine.keys() & theirs.keys()):
        print(f"   batch {batch:3}: ours is {mine[batch] / theirs[batch]:.1f}x transformers", flush=True)


def read_notes(file: Path) -> list[Row]:
    """What a part has measured so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def child(args: argparse.Namespace) -> None:
    """One part, in this process."""
    from copilot.model.load import quiet_libraries

    began = time.monotonic()
    quiet_libraries()
    logging.basicConfig(format="   %(message)s")
    if args.child == "unsloth":
        if not find_spec("unsloth"):
            print("   unsloth is not installed")
            return
        import unsloth  # noqa: F401
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)
    bench = Bench(args)
    print(f"   imports {time.monotonic() - began:.1f} s, {bench.device_name}, torch {torch.__version__}", flush=True)
    parts: dict[str, Callable[[], None]] = {
        "ours": bench.ours,
        "transformers": bench.transformers,
        "equal": bench.equal,
        "held": bench.held,
        "adapter": bench.adapter,
        "unsloth": bench.unsloth,
        "paged": bench.paged,
        "profile": bench.profile,
    }
    parts[args.child]()


class Bench:
    """The parts, which share prompts and what they print."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        self.args, self.folder, self.tokens = args, args.folder, args.tokens
        self.batches = [int(batch) for batch in args.batches.split(",")]
        self.gpu = torch.cuda.is_available()
        self.device_name = torch.cuda.get_device_name() if self.gpu else "CPU"
        self.kind = torch.bfloat16 if self.gpu else torch.float32
        self.length = int(args.prompt * 1.1) + args.tokens + 16
        self.speed = 0.0  # bytes/s of a copy

    def prompts(self, count: int, vocab: int, seed: int = 0) -> list[list[int]]:
        """Random tokens, ordinary ones."""
        draw, top = random.Random(seed), min(vocab, 100_000)
        low, high = max(int(self.args.prompt * 0.9), 1), max(int(self.args.prompt * 1.1), 1)
        return [[draw.randrange(3, top) for _ in range(draw.randint(low, high))] for _ in range(count)]

    def model(self, kind: Any = None) -> Any:
        """The model as the product loads it, whose generation does not end by itself."""
        import torch
        from transformers import AutoModelForCausalLM

        began = time.monotonic()
        options = {"device_map": {"": 0}} if self.gpu else {}
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=kind or self.kind, **options).eval()
        model.generation_config.eos_token_id = None
        model.generation_config.pad_token_id = 0
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()
        print(f"   model loaded in {time.monotonic() - began:.1f} s", flush=True)
        return model

    def wait(self) -> None:
        """Until the GPU is done."""
        import torch

        if self.gpu:
            torch.cuda.synchronize()

    def timed(self, run: Callable[[int], Any], tokens: int) -> float:
        """Seconds of one call that writes so many tokens a row."""
        self.wait()
        began = time.perf_counter()
        run(tokens)
        self.wait()
        return time.perf_counter() - began

    def floor(self, model: Any, batch: int) -> float:
        """Tokens/s if a step read what it must and did nothing else."""
        import torch

        if not self.speed:
            source = torch.randn((1 << 28) if self.gpu else (1 << 24), device=model.device)
            target = torch.empty_like(source)
            times = [self.timed(lambda _: target.copy_(source), 0) for _ in range(5)]
            self.speed = 2 * source.numel() * source.element_size() / min(times)
            del source, target
            print(f"   a copy moves {self.speed / 1e12:.2f} TB/s", flush=True)
        size, config = torch.empty((), dtype=self.kind).element_size(), model.config
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        entry = 2 * config.num_hidden_layers * config.num_key_value_heads * head * size
        weights = sum(p.numel() for p in model.parameters()) * size
        return float(batch * self.speed / (weights + batch * entry * (self.args.prompt + self.tokens / 2)))

    def report(
        self, part: str, name: str, batch: int, run: Callable[[int], Any], floor: float = 0.0, tokens: int = 0
    ) -> None:
        """Measure `run(tokens)` at this batch: once to warm up, then the median of three; print and keep it."""
        import torch

        tokens = tokens or self.tokens
        try:
            warm = self.timed(run, min(tokens, 8))
            first = statistics.median(self.timed(run, 1) for _ in range(3))
            whole = statistics.median(self.timed(run, tokens + 1) for _ in range(3 if batch < 100 else 2))
        except torch.cuda.OutOfMemoryError:
            print(f"   {name:34} batch {batch:3}: out of memory", flush=True)
            return
        rate = batch * tokens / max(whole - first, 1e-9)
        peak = torch.cuda.max_memory_allocated() / 2**30 if self.gpu else 0.0
        share = f", {rate / floor:4.0%} of the floor" if floor else ""
        print(
            f"   {name:34} batch {batch:3}: first {first * 1e3:7.1f} ms, {rate:8.0f} tokens/s{share}, "
            f"first call {warm:5.2f} s, peak {peak:.1f} GiB",
            flush=True,
        )
        self.keep(part=part, name=name, batch=batch, first_ms=first * 1e3, rate=rate, warm_s=warm, peak_gib=peak)
        if part in ("ours", "transformers"):
            seen = [row for one in ("ours", "transformers") for row in read_notes(Path(self.args.out).with_name(one))]
            ratios([row for row in seen if row["batch"] == batch])

    def keep(self, **row: Any) -> None:
        """Add a line to the notes, so that a process that is cut leaves what it had."""
        with Path(self.args.out).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def engine(self, model: Any) -> Any:
        """Our engine, and how long it took to open."""
        from copilot.model.engine import open_engine

        began = time.monotonic()
        engine = open_engine(model, self.length, force=not self.gpu)
        self.wait()
        if engine is None:
            raise SystemExit("   our engine does not take this model or this memory")
        print(f"   engine opened in {time.monotonic() - began:.2f} s", flush=True)
        return engine

    def ours(self) -> None:
        """Our decoding."""
        model = self.model()
        engine = self.engine(model)
        run = running(engine, self.prompts(1, engine.weights.embedding.shape[0]))
        print(f"   warm-up: {self.timed(run, 8):.2f} s for the first text of 8 tokens, graphs and kernels in it")
        for batch in self.batches:
            engine.idle = []
            run = running(engine, self.prompts(batch, engine.weights.embedding.shape[0]))
            self.report("ours", "ours", batch, run, self.floor(model, batch))

    def profile(self) -> None:
        """The kernels of one step, without its graph."""
        import torch
        from torch.profiler import ProfilerActivity, profile

        if not self.gpu:
            print("   needs a GPU")
            return
        engine = self.engine(self.model())
        for batch in self.batches:
            decoder = engine._decoder(batch, self.length)
            with torch.inference_mode():
                decoder.positions.fill_(self.args.prompt)
                decoder.forward()
                with profile(activities=[ProfilerActivity.CUDA]) as seen:
                    for _ in range(10):
                        decoder.forward()
                    self.wait()
            events = sorted(seen.key_averages(), key=lambda event: -event.self_device_time_total)
            whole = sum(event.self_device_time_total for event in events) / 10
            print(f"   batch {batch}: {whole:.0f} us of kernels a step")
            for event in events[:12]:
                spent, count = event.self_device_time_total, event.count
                print(f"     {spent / 10:8.1f} us: {count // 10:3} x {spent / count:6.1f} us {event.key[:80]}")
            del decoder

    def transformers(self) -> None:
        """Transformers' generate with its dynamic cache."""
        model, tokens = self.model(), min(self.tokens, PEER_TOKENS)
        for batch in self.ordered():
            run = self.generating(model, batch)
            self.report("transformers", "transformers, dynamic cache", batch, run, tokens=tokens)

    def ordered(self) -> list[int]:
        """The batches, those of FIRST before the others."""
        return sorted(self.batches, key=lambda batch: batch not in FIRST)

    def generating(self, model: Any, batch: int) -> Callable[[int], Any]:
        """`generate` over prompts that are padded on the left."""
        import torch

        asked = self.prompts(batch, model.config.vocab_size)
        longest = max(map(len, asked))
        inputs = torch.tensor([[0] * (longest - len(ids)) + ids for ids in asked], device=model.device)
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in asked], device=model.device)

        def run(tokens: int) -> Any:
            with torch.inference_mode():
                options = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
                return model.generate(input_ids=inputs, attention_mask=mask, **options)

        return run

    def equal(self) -> None:
        """Greedy tokens of transformers, one prompt at a time, and ours at one row and at many; one model for both."""
        import copy

        import torch

        model = self.model()
        asked, new = self.prompts(self.args.prompts, model.config.vocab_size, 1), min(64, 8 * self.tokens)
        engine = self.engine(model)
        mine = {rows: texts(engine, asked, new, rows) for rows in FIRST}
        engine.idle = []  # their caches make room
        exact = None  # in float32, made where a text differs
        found: dict[int, list[bool | None]] = {rows: [] for rows in FIRST}  # None: the same
        for n, ids in enumerate(asked):
            inputs = torch.tensor([ids], device=model.device)
            options = {"max_new_tokens": new, "do_sample": False, "attention_mask": torch.ones_like(inputs)}
            with torch.inference_mode():
                theirs = model.generate(inputs, **options)[0, len(ids) :].tolist()
            same = {rows: common(theirs, made[n]) for rows, made in mine.items()}
            counts = ", ".join(f"{count} at {rows} rows" for rows, count in same.items())
            print(f"   prompt {n + 1:2} of {len(asked)}: tokens equal, of {len(theirs)}: {counts}", flush=True)
            for rows, count in same.items():
                fine = None
                if count < len(theirs):
                    exact = exact or (copy.deepcopy(model).float() if self.gpu else model)
                    fine, line = difference(model, exact, ids + theirs[:count], theirs[count], mine[rows][n][count])
                    print(f"      {line}", flush=True)
                found[rows].append(fine)
                self.keep(part="equal", rows=rows, prompt=n, same=count, tokens=len(theirs), explained=fine, batch=0)
        for rows, each in found.items():
            print(
                f"   {rows:2} rows, {new} tokens: {each.count(None)} of {len(asked)} texts are transformers' own, "
                f"{each.count(True)} of {len(asked) - each.count(None)} differences lie within bfloat16's rounding",
                flush=True,
            )

    def held(self) -> None:
        """Our decoding under the grammar of answers, with 400 names; stop tokens end a text."""
        from transformers import AutoTokenizer

        from copilot.config import SECTIONS
        from copilot.model.constrain import Vocabulary
        from copilot.prompt.grammar import answer_grammar

        model, tokenizer = self.model(), AutoTokenizer.from_pretrained(self.folder)
        began = time.monotonic()
        size = model.config.vocab_size
        vocabulary = Vocabulary(tokenizer, size, {tokenizer.eos_token_id})
        print(f"   vocabulary of {size} tokens read in {time.monotonic() - began:.2f} s", flush=True)
        engine, stops = self.engine(model), frozenset({tokenizer.eos_token_id})
        grammar = answer_grammar(SECTIONS, [f"name{i}Id" for i in range(400)])
        for batch in self.batches:
            asked = self.prompts(batch, size)

            def run(new: int, asked: list[list[int]] = asked) -> tuple[int, float, float]:
                """Tokens after each row's first, the time of the first tokens, the whole time."""
                from copilot.model.constrain import Masks

                masks = Masks(vocabulary, [grammar] * len(asked), len(SECTIONS), [new] * len(asked))
                start, count, first = time.perf_counter(), 0, 0.0
                for _, tokens, _ in pieces(engine, asked, new, len(asked), stops, masks):
                    first = first or time.perf_counter() - start
                    count += len(tokens)
                return count - len(asked), first, time.perf_counter() - start

            warm = self.timed(run, 8)
            found = [run(self.tokens + 1) for _ in range(3)]
            rate = statistics.median(count / max(whole - first, 1e-9) for count, first, whole in found)
            first = statistics.median(first for _, first, _ in found)
            name = "ours, held to a grammar"
            print(
                f"   {name:34} batch {batch:3}: first {first * 1e3:7.1f} ms, {rate:8.0f} tokens/s, "
                f"first call {warm:5.2f} s",
                flush=True,
            )
            self.keep(part="held", name=name, batch=batch, first_ms=first * 1e3, rate=rate, warm_s=warm)

    def adapter(self) -> None:
        """With LoRA of rank 16 on all layers, as large as after a training: speed, and what merging it rounds."""
        import copy

        import torch
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(self.model(), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")).eval()
        torch.manual_seed(0)
        for name, value in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.005)
        asked = [ids[:500] for ids in self.prompts(4, model.config.vocab_size)]

        def scores(model: Any) -> Any:
            rows = [model(torch.tensor([ids], device=model.device), logits_to_keep=1).logits[0, -1] for ids in asked]
            return torch.stack(rows).float()

        engine = self.engine(model)
        with torch.inference_mode():
            theirs, mine = scores(model), engine._decoder(4, self.length).read(asked, range(4)).float()
            with model.disable_adapter():
                plain = scores(model)
            exact = scores(copy.deepcopy(model).float())
        effect = (exact - plain).norm()
        print(
            f"   logits differ from float32's by {float((theirs - exact).norm() / effect):.1%} of the adapter's effect "
            f"with transformers + PEFT, by {float((mine - exact).norm() / effect):.1%} with ours",
            flush=True,
        )
        for batch in [batch for batch in self.batches if batch in FIRST] or self.batches[:1]:
            asked = self.prompts(batch, model.config.vocab_size)
            self.report("adapter", "ours, with an adapter", batch, running(engine, asked))
            self.report("adapter", "transformers + PEFT", batch, self.generating(model, batch))

    def unsloth(self) -> None:
        """Unsloth's inference."""
        from unsloth import FastLanguageModel

        options = {"max_seq_length": self.length, "dtype": self.kind, "load_in_4bit": False}
        model, _ = FastLanguageModel.from_pretrained(model_name=self.folder, **options)
        FastLanguageModel.for_inference(model)
        model.generation_config.eos_token_id, model.generation_config.pad_token_id = None, 0
        for batch in self.ordered():
            self.report("unsloth", "unsloth inference", batch, self.generating(model, batch))

    def paged(self) -> None:
        """Transformers' continuous batching."""
        from transformers import GenerationConfig

        if not self.gpu:
            print("   needs a GPU")
            return
        model = self.model()
        model.set_attn_implementation("paged|sdpa")
        for batch in [batch for batch in self.batches if batch <= 32][-1:]:
            asked = self.prompts(batch, model.config.vocab_size)

            def run(tokens: int, asked: list[list[int]] = asked) -> Any:
                options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0, "eos_token_id": -1}
                return model.generate_batch(inputs=asked, generation_config=GenerationConfig(**options))

            whole, seconds = run(self.tokens + 1), self.timed(run, self.tokens + 1)
            rate = sum(len(out.generated_tokens) for out in whole.values()) / seconds
            print(f"   generate_batch, paged, batch {batch}: {rate:.0f} tokens/s with its prompts", flush=True)
            self.keep(part="paged", name="generate_batch", batch=batch, rate=rate)


def pieces(
    engine: Any, asked: list[list[int]], new: int, rows: int, stops: frozenset[int] = frozenset(), held: Any = None
) -> Iterator[tuple[int, list[int], bool]]:
    """Our greedy tokens as they come."""
    from copilot.model.slots import Choice, Request

    yield from engine.generate([Request(tuple(ids), new) for ids in asked], rows, Choice(0.0, 1, stops), held)


def texts(engine: Any, asked: list[list[int]], new: int, rows: int) -> list[list[int]]:
    """Our greedy tokens, prompt by prompt."""
    made: list[list[int]] = [[] for _ in asked]
    for row, tokens, _ in pieces(engine, asked, new, rows):
        made[row] += tokens
    return made


def running(engine: Any, asked: list[list[int]]) -> Callable[[int], Any]:
    """Our decoding of these prompts, all at once."""
    return lambda tokens: texts(engine, asked, tokens, len(asked))


def common(theirs: list[int], ours: list[int]) -> int:
    """How many tokens are equal before the first that is not."""
    return next((i for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b), len(theirs))


def difference(model: Any, exact: Any, ids: list[int], their: int, our: int) -> tuple[bool, str]:
    """After these tokens two go on with different ones: whether that lies within rounding, and a line on it."""
    import torch

    inputs = torch.tensor([ids], device=model.device)
    with torch.inference_mode():
        rounded = model(inputs, logits_to_keep=1).logits[0, -1].float()
        true = exact(inputs, logits_to_keep=1).logits[0, -1].float()
    noise = float((rounded - true).abs().max())
    gap = float((true[their] - true[our]).abs())
    best = float(true.max() - true[our])
    line = (
        f"first difference: gap {gap:.4f} in float32 (ours is {best:.4f} under the largest), "
        f"bfloat16 moves logits there by up to {noise:.4f}"
    )
    return gap <= 2 * noise and best <= 2 * noise, line


if __name__ == "__main__":
    main()
