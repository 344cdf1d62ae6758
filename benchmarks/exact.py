"""How exact packs are: loss and LoRA gradients beside plain transformers + PEFT, and beside float32.

A part of benchmarks/train.py; also by itself, where there is no GPU, on a small checkpoint:

    python benchmarks/make_checkpoint.py small --hidden 128 --heads 4 --kv-heads 2 --head-dim 32 --ffn 512 --vocab 2048
    python benchmarks/exact.py small --longest 150
"""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from bare import ALL_LINEAR, device, load, rows, with_lora

Data = list[tuple[list[int], int]]
SCALE = 0.02  # standard deviation of the adapter's second half, which is zero in a fresh one


def ready(folder: str, four_bit: bool, dtype: str, seed: int, scale: float = SCALE) -> Any:
    """The model with an adapter that does something, the same for the same seed."""
    import torch

    torch.manual_seed(seed)
    model = with_lora(load(folder, four_bit, dtype), 16, ALL_LINEAR)
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            std = scale if "lora_B" in name else parameter.shape[1] ** -0.5
            parameter.data = (torch.randn(parameter.shape, generator=draw) * std).to(parameter)
    return model


def gradient(model: Any) -> Any:
    """All of the adapter's, in one vector."""
    import torch

    named = sorted((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return torch.cat([grad.double().flatten().cpu() for _, grad in named])


def plain(model: Any, data: Data, autocast: bool = False) -> tuple[float, Any]:
    """transformers + PEFT, one row at a time; `autocast`: as Trainer's `bf16=True` does, the adapter in bf16 too."""
    import torch

    model.zero_grad()
    summed, total = 0.0, sum(len(row) - 1 for row, _ in data)
    for row, _ in data:
        ids = torch.tensor([row], device=device())
        with torch.autocast(device().split(":")[0], torch.bfloat16, enabled=autocast):
            loss = model(input_ids=ids, labels=ids).loss * (len(row) - 1) / total
        loss.backward()
        summed += float(loss.detach())
    return summed, gradient(model)


def packed(
    model: Any, data: Data, compiled: bool = False, chosen: Data | None = None, checkpointing: bool = False
) -> tuple[float, Any]:
    """The same in one pack; `checkpointing` reads the layers again on the way back, to need less memory."""
    from copilot.model.packed import reading_packs
    from copilot.model.packed_trainer import on
    from copilot.model.packs import packs, shape_of

    lengths = [len(row) for row, _ in data]
    shape = shape_of(lengths, [list(range(len(data)))], sum(lengths) + 2048)
    model.zero_grad()
    summed, total = 0.0, sum(len(row) - 1 for row, _ in data)
    with reading_packs(model, compiled, checkpointing):
        for part in packs(chosen or data, shape, 0):
            loss = model(**on(part, device()), count=total)["loss"]
            loss.backward()
            summed += float(loss.detach())
    return summed, gradient(model)


def agreement(folder: str, count: int = 8, seed: int = 1, four_bit: bool = True, longest: int = 2048) -> dict[str, Any]:
    """Distances of packs to plain transformers + PEFT: both in float32, both in bf16, and each bf16 to float32.

    In float32 only the order of additions differs, so they must agree; its weights are the numbers of bf16.
    `others`: the largest change of the gradients when a row without loss is replaced by another.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    import torch

    gpu = torch.cuda.is_available()
    model = ready(folder, False, "bfloat16", seed)
    vocab = model.config.vocab_size
    data: Data = [([token % vocab for token in row[:longest]], 1) for row in rows(count, seed)]
    found = {"packs": packed(model, data, gpu)}
    torch.use_deterministic_algorithms(True)
    silent = [(data[0][0], len(data[0][0])), *data[1:]]
    other = [([token % vocab for token in rows(1, 9)[0] * 3][: len(data[0][0])], len(data[0][0])), *data[1:]]
    one, two = (packed(model, data, gpu, chosen)[1] for chosen in (silent, other))
    torch.use_deterministic_algorithms(False)
    found |= {"plain": plain(model, data), "plain under autocast": plain(model, data, autocast=True)}
    exact = plain(model.float(), data)
    result: dict[str, Any] = {"float32": {"loss": exact[0]}}
    result["packs beside plain, both in float32"] = distances(packed(model, data, checkpointing=gpu), exact)
    result["packs beside plain, both in bf16"] = distances(found["packs"], found["plain"])
    result |= {f"{name}, in bf16, beside float32": distances(one, exact) for name, one in found.items()}
    result["others"] = float((one - two).abs().max())
    for dtype in ("bfloat16", "float32") if four_bit else ():
        model = None  # its memory first
        model = ready(folder, True, dtype, seed)
        ours = packed(model, data, gpu and dtype == "bfloat16", checkpointing=gpu and dtype == "float32")
        result[f"packs beside plain, both in 4 bits and {dtype}"] = distances(ours, plain(model, data))
    return result


def distances(one: tuple[float, Any], two: tuple[float, Any]) -> dict[str, float]:
    """Of loss, and of gradients: cosine, and the length of the difference as a share."""
    import torch

    a, b = one[1], two[1]
    return {
        "loss": round(one[0] - two[0], 7),
        "cosine": round(float(torch.nn.functional.cosine_similarity(a, b, dim=0)), 9),
        "off by": round(float((a - b).norm() / b.norm()), 7),
    }


def show(found: dict[str, Any]) -> str:
    """One line each."""
    return "\n".join(f"  {name:45} {json.dumps(values)}" for name, values in found.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longest", type=int, default=2048, help="tokens that rows are cut to")
    parser.add_argument("--four-bit", action="store_true", help="also in 4 bits")
    args = parser.parse_args(arguments)
    for seed in range(1, args.seeds + 1):
        print(f"seed {seed}\n{show(agreement(args.folder, args.rows, seed, args.four_bit, args.longest))}", flush=True)


if __name__ == "__main__":
    main()
