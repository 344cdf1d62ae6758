"""Our packed forward without TRL's loop: its speed by what is switched on, its kernels, and how exact it is.

Parts of benchmarks/train.py, which runs them in processes of their own. Without a GPU (to try them on a small
checkpoint) nothing is compiled and no kernel is counted.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any
from unittest import mock

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PACK = 16384  # tokens
KINDS = {  # a kernel belongs to the first of these whose words its name holds
    "attention": ("flash", "fmha"),
    "products": ("gemm", "nvjet", "cutlass", "xmma", "splitk", "cublas"),
    "dequantise": ("dequant", "Dequant"),
    "compiled": ("triton",),
}
TRIALS: dict[str, dict[str, Any]] = {  # what `speed` runs, in this order; the base is nf4 unless said
    "packs": {},
    "completion only": {"completion": True},
    "SwiGLU by the compiler": {"compiler": True},
    "FlashAttention-4": {"flash": True},
    "completion only, FlashAttention-4": {"flash": True, "completion": True},
    "completion only, FlashAttention-4, packs of 32k": {"flash": True, "completion": True, "size": 32768},
    "packs of 32k": {"size": 32768},
    "bf16 base": {"four_bit": False},
}


def rows(count: int, seed: int = 0) -> list[list[int]]:
    """Token ids of rows of 836 to 2,048 tokens."""
    draw = random.Random(seed)
    return [[draw.randrange(1000, 100_000) for _ in range(draw.randint(836, 2048))] for _ in range(count)]


def device() -> str:
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def load(folder: str, four_bit: bool, dtype: str = "bfloat16") -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    kind = getattr(torch, dtype)
    options: dict[str, Any] = {"dtype": kind, "device_map": {"": device()}}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=kind,
        )
    return AutoModelForCausalLM.from_pretrained(folder, **options)


def with_lora(model: Any, rank: int, targets: list[str]) -> Any:
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM"))


def own_parameters(model: Any) -> list[Any]:
    """Those of the adapter, in float32."""
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in own:
        parameter.data = parameter.data.float()
    return own


@contextmanager
def switched(model: Any, trial: dict[str, Any]) -> Iterator[None]:
    """The model reading packs, with what the trial switches."""
    import torch

    from copilot.model import lora_forward, packed

    torch._dynamo.reset()
    gpu = torch.cuda.is_available()
    off = [] if trial.get("flash") else [mock.patch.object(packed, "flash_4", lambda: None)]
    off += [mock.patch.object(lora_forward, "_gated", lambda block: False)] if trial.get("compiler") else []
    with ExitStack() as stack:
        for one in off:
            stack.enter_context(one)
        stack.enter_context(packed.reading_packs(model, gpu))
        yield


def bare(model: Any, trial: dict[str, Any], steps: int, profiled: bool = False) -> dict[str, Any]:
    """Forward, backward and AdamW over packs: tokens/s, losses, and where a step's time goes by kind of kernel."""
    import torch

    from copilot.model.packs import fill, shape_of

    size = trial.get("size", PACK)
    own = own_parameters(model)
    optimizer = torch.optim.AdamW(own, lr=1e-4, fused=True)
    ids = rows(steps * 11 * size // PACK + 4)
    data = [(row, len(row) * 3 // 4 if trial.get("completion") else 1) for row in ids]
    lengths = [len(row) for row, _ in data]
    bins = fill(lengths, size)[:steps]
    shape = shape_of(lengths, bins, size)
    warm, losses = max(steps // 3, 1), []
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()

    def step(bin: Sequence[int]) -> None:
        from copilot.model.packed_trainer import on
        from copilot.model.packs import lay

        pack = on(lay([data[i] for i in bin], shape, 0), device())
        loss = model(**pack, count=sum(lengths[i] for i in bin))["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())

    with switched(model, trial):
        for n, bin in enumerate(bins):
            if n in (0, warm):
                wait()
                started = time.perf_counter()
            step(bin)
        wait()
        took = time.perf_counter() - started
        kernels = _kernels(lambda: step(bins[-1])) if profiled and torch.cuda.is_available() else {}
    read = sum(lengths[i] for bin in bins[warm:] for i in bin)
    said = [round(float(loss), 4) for loss in losses[:steps]]
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {
        "tokens_per_second": round(read / took),
        "ms": round(took / (steps - warm) * 1e3, 1),
        "peak_gib": round(peak, 1),
        "losses": said[-3:],
        "pack": shape.tokens,
        **kernels,
    }


def _kernels(step: Callable[[], None]) -> dict[str, Any]:
    """Milliseconds of one step by kind of kernel, and the largest kernels."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step()
        wait()
    kinds: dict[str, float] = {}
    events = [event for event in seen.key_averages() if event.self_device_time_total]
    for event in events:
        kind = next((kind for kind, words in KINDS.items() if any(word in event.key for word in words)), "rest")
        kinds[kind] = kinds.get(kind, 0) + event.self_device_time_total / 1e3
    events.sort(key=lambda event: -event.self_device_time_total)
    top = [(event.key[:70], event.count, round(event.self_device_time_total / 1e3, 2)) for event in events[:24]]
    return {"kernels_ms": {kind: round(ms, 1) for kind, ms in kinds.items()}, "top": top}


def speed(folder: str, steps: int, limit: float) -> dict[str, Any]:
    """Every trial in one process, so that the card is the same; the thin products first."""
    import torch

    began, found, model, loaded = time.monotonic(), {}, None, None
    if torch.cuda.is_available():
        thin()
    print("\n| trial | tokens/s | ms a pack | peak GiB | kernels, ms | losses |\n|---|---|---|---|---|---|", flush=True)
    for name, trial in TRIALS.items():
        if trial.get("flash") and not find_spec("flash_attn"):
            print(f"| {name} | left out: no flash-attn-4 here |", flush=True)
            continue
        if time.monotonic() - began > limit:
            print(f"| {name} | left out: the time is up |", flush=True)
            continue
        if loaded != trial.get("four_bit", True) or model is None:
            model, loaded = None, trial.get("four_bit", True)
        model = None
        gc.collect()
        torch.cuda.empty_cache()
        torch.manual_seed(0)
        model = with_lora(load(folder, loaded), 16, ALL_LINEAR)
        try:
            one = found[name] = bare(model, trial, steps, profiled=True)
        except Exception as error:  # the others still run
            print(f"| {name} | failed: {type(error).__name__}: {str(error)[:300]!r} |", flush=True)
            continue
        figures = (f"{one['tokens_per_second']:,}", one["ms"], one["peak_gib"], one.get("kernels_ms"), one["losses"])
        print(f"| {name} | {' | '.join(map(str, figures))} |", flush=True)
    for name in ("packs", "FlashAttention-4"):
        print(f"\nkernels of {name!r}:", *found.get(name, {}).get("top", []), sep="\n  ", flush=True)
    return found


def thin(rank: int = 16) -> None:
    """Milliseconds of a layer's products, in the ways in which they can be made."""
    shapes = {"q": (2048, 2048, 1), "qkv": (2048, 3072, 3), "gate": (2048, 8192, 1)}
    shapes |= {"gate+up": (2048, 16384, 2), "down": (8192, 2048, 1)}
    for name, (inner, outer, many) in shapes.items():
        times = ", ".join(f"{way} {_ms(work):.3f}" for way, work in _ways(inner, outer, rank * many).items())
        print(f"{name} {inner} → {outer}, r {rank * many}: {times}", flush=True)


def _ways(inner: int, outer: int, r: int) -> dict[str, Callable[[], Any]]:
    import torch

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, device=device(), dtype=torch.bfloat16)

    def pieces(u: Any, v: Any, parts: int) -> Any:
        return torch.bmm(u.view(parts, -1, u.shape[1]).mT, v.view(parts, -1, v.shape[1])).sum(0)

    x, w, dy = draw(PACK, inner), draw(outer, inner), draw(PACK, outer)
    a, b, t, y = draw(r, inner), draw(outer, r), draw(PACK, r), draw(PACK, outer)
    wide, joint = draw(PACK, inner + r), draw(outer, inner + r)
    return {
        "x W'": lambda: x @ w.t(),
        "x A'": lambda: x @ a.t(),
        "t B'": lambda: t @ b.t(),
        "y += t B'": lambda: y.addmm_(t, b.t()),
        "y += x W'": lambda: y.addmm_(x, w.t()),
        "copy x, [x t] [W B]'": lambda: (wide[:, :inner].copy_(x), wide @ joint.t()),
        "dy B": lambda: dy @ b,
        "dy W": lambda: dy @ w,
        "dx += dy W": lambda: x.addmm_(dy, w),
        "dx += u A": lambda: x.addmm_(t, a),
        "u' x": lambda: t.t() @ x,
        "u' x in 8": lambda: pieces(t, x, 8),
        "u' x in 32": lambda: pieces(t, x, 32),
        "dy' t": lambda: dy.t() @ t,
        "(t' dy)'": lambda: (t.t() @ dy).t(),
        "dy' t in 8": lambda: pieces(dy, t, 8),
        "dy' t in 32": lambda: pieces(dy, t, 32),
    }


def _ms(work: Callable[[], Any], times: int = 10) -> float:
    """Median of three rounds, in milliseconds a call."""
    import torch

    found = []
    for _ in range(3):
        work()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(times):
            work()
        end.record()
        torch.cuda.synchronize()
        found.append(start.elapsed_time(end) / times)
    return statistics.median(found)
