"""A model section and what a run folder holds in; the runtime that writes the answers out, and why it was taken."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from copilot.config import AnswerPart, Model
from copilot.errors import StaleError
from copilot.model.generator import Generator, TransformersGenerator
from copilot.model.load import load_model, prepare
from copilot.model.onnx import OnnxGenerator
from copilot.runs import read_manifest, sha256_file

Runtime = Literal["onnx", "transformers"]


def open_generator(
    config: Model,
    answer: AnswerPart,
    export: Path,
    adapter: Path | None,
    seed: int,
    batch: int | None,
    remedy: str,
    detail: Callable[[str], None],
) -> tuple[Generator, str]:
    """What writes answers, and its chat template.

    `batch` is the number of questions answered at once, by transformers; None: one after the other, with what is
    chosen. `detail` is told which runtime was taken and why. Raises StaleError with `remedy` when the YAML asks
    for an export that is not there or does not fit.
    """
    runtime: Runtime = "transformers"
    why = "base and tuned model are compared"
    if batch is None:
        runtime, why = choose_runtime(config, export, adapter, has_gpu(), remedy)
    detail(f"runtime: {runtime} ({why})")
    match runtime:
        case "onnx":
            onnx = OnnxGenerator(export, export_manifest(export), answer, config.max_length, seed)
            return onnx, onnx.tokens.chat_template
        case _:
            prepare(config)
            loaded = load_model(config, adapter)
            made = TransformersGenerator(loaded, answer, config.max_length, seed, batch or 1)
            return made, loaded.tokenizer.chat_template


def has_gpu() -> bool:
    """Whether the CUDA driver shows a device, asked without torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return False
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def choose_runtime(config: Model, export: Path, adapter: Path | None, gpu: bool, remedy: str) -> tuple[Runtime, str]:
    """(runtime, why). `export` is the run's `onnx/`, `adapter` its adapter (None: the untuned model).

    Raises StaleError with `remedy` when the YAML asks for an export that is not there or does not fit.
    """
    if config.runtime == "transformers":
        return "transformers", "the configuration says so"
    why = "it is made of the tuned model" if adapter is None else unfit(export, adapter)
    if config.runtime == "onnx":
        if why:
            raise StaleError(f"model.runtime=onnx cannot be used: {why}", remedy)
        return "onnx", "the configuration says so"
    if gpu:
        return "transformers", "there is a GPU"
    return ("transformers", f"{why}; {remedy}") if why else ("onnx", "the export fits, and there is no GPU")


def unfit(export: Path, adapter: Path) -> str:
    """Why an export cannot answer for this adapter; "" when it can."""
    try:
        found = read_manifest(export)
    except StaleError as error:
        return error.message
    if found is None:
        return f"there is no ONNX export at {export}"
    made = found.get("adapter")
    return "" if made == weights_of(adapter) else f"{export} was made from another adapter"


def weights_of(adapter: Path) -> str:
    """sha256 of an adapter's weights."""
    return sha256_file(adapter / "adapter_model.safetensors")


def export_manifest(export: Path) -> dict[str, Any]:
    """The manifest of an export that `choose_runtime` has chosen."""
    found = read_manifest(export)
    assert found is not None
    return found
