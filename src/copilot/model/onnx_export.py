"""A model and its adapter in; `onnx/` out: the merged weights as onnxruntime-genai reads them, proven on prompts."""

import contextlib
import io
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from copilot.config import AnswerPart, Model
from copilot.errors import CopilotError, first_line
from copilot.model.load import Loaded, load_model
from copilot.model.onnx import OnnxGenerator
from copilot.model.tokens import FILES
from copilot.runs import swapped_folder

Precision = Literal["fp32", "int8", "int4"]
REPLAY = 32  # tokens that both runtimes must agree on


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far greedy answers of the export are those of transformers, up to REPLAY tokens of each prompt."""

    prompts: int
    tokens: int  # of transformers' answers
    equal: int  # of them, up to the first that differs
    difference: str  # the first one, as text; "" where there is none


class NotExported(CopilotError):
    """This model cannot be exported, or its export writes something else; asking by transformers goes on."""


def export_onnx(
    target: Path,
    config: Model,
    adapter: Path,
    prompts: Sequence[Sequence[int]],
    precision: Precision,
    manifest: dict[str, Any],
) -> Agreement:
    """Merge, export to `target` in one swap, and replay `prompts` (token ids) greedily against transformers in fp32.

    Raises NotExported when the architecture is not known to the builder, or when an fp32 export does not write the
    same tokens; what stood at `target` then stays.
    """
    whole = config.model_copy(update={"load_in_4bit": False, "dtype": "float32", "backend": "transformers"})
    loaded = load_model(whole, adapter)
    model = loaded.model
    stops = model.generation_config.eos_token_id
    ids = {stops} if isinstance(stops, int) else set(stops or [])
    facts = {
        **manifest,
        "precision": precision,
        "stops": sorted(ids | {loaded.tokenizer.eos_token_id}),
        "vocabulary": int(model.config.vocab_size),
        "context": int(model.config.max_position_embeddings),
    }
    with swapped_folder(target, facts) as fresh:
        _build(loaded, fresh, precision)
        for name in FILES:  # to the byte what training wrote
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, fresh / name)
        found = replay(loaded, fresh, facts, prompts)
        refuse_difference(found, precision)
        facts["replay"] = {"prompts": found.prompts, "tokens": found.tokens, "equal": found.equal}
    return found


def refuse_difference(found: Agreement, precision: Precision) -> None:
    """Raises NotExported when an export that keeps every bit of the weights writes something else."""
    if precision == "fp32" and found.difference:
        raise NotExported(
            f"the ONNX export writes something else than transformers {found.difference}",
            "set model.runtime=transformers, which needs no export",
        )


def replay(loaded: Loaded, folder: Path, facts: dict[str, Any], prompts: Sequence[Sequence[int]]) -> Agreement:
    """Both answer each prompt greedily, held to nothing."""
    length = max((len(ids) for ids in prompts), default=0) + REPLAY + 1
    theirs = OnnxGenerator(folder, facts, AnswerPart(), length, 0)
    tokens = equal = 0
    difference = ""
    for ids in prompts:
        wanted = greedy(loaded, ids)
        try:
            made = theirs.greedy(ids, REPLAY)
        except Exception as error:  # of whatever kind: a shape that its kernels do not have, say
            raise NotExported(f"onnxruntime cannot run the export: {first_line(error)}") from None
        same = next((n for n, pair in enumerate(zip(wanted, made, strict=False)) if pair[0] != pair[1]), None)
        if same is None and len(wanted) != len(made):
            same = min(len(wanted), len(made))
        tokens += len(wanted)
        equal += len(wanted) if same is None else same
        if same is not None and not difference:
            first, second = (loaded.tokenizer.decode(row[max(same - 8, 0) : same + 4]) for row in (wanted, made))
            difference = f"at token {same + 1} of an answer, transformers: {first!r}, onnx: {second!r}"
    return Agreement(len(prompts), tokens, equal, difference)


def greedy(loaded: Loaded, ids: Sequence[int]) -> list[int]:
    """Transformers' likeliest tokens after a prompt, at most REPLAY, without the stop token."""
    import torch

    model, pad = loaded.model, loaded.tokenizer.pad_token_id
    row = torch.tensor([list(ids)], device=model.device)
    plain = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    with torch.inference_mode():
        out = model.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=REPLAY, pad_token_id=pad, **plain)
    made: list[int] = out[0, len(ids) :].tolist()
    stops = model.generation_config.eos_token_id
    ends = {loaded.tokenizer.eos_token_id, *([stops] if isinstance(stops, int) else stops or [])}
    return made[: next((n for n, token in enumerate(made) if token in ends), len(made))]


def _build(loaded: Loaded, folder: Path, precision: Precision) -> None:
    """onnxruntime-genai's own exporter, which reads a merged model from the disk."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".merged-") as name, silent():
        merged, cache = Path(name) / "model", Path(name) / "cache"
        loaded.model.save_pretrained(merged)
        loaded.tokenizer.save_pretrained(merged)
        settings = [] if precision == "fp32" else ["accuracy_level=4"]  # activations in 8 bits: docs/performance.md
        where = ("", str(merged), str(folder), precision, "cpu", str(cache))
        try:
            create_model(*where, **parse_extra_options(*where, settings))
        except Exception as error:  # NotImplementedError for an architecture, and whatever else its parts meet
            kind = type(loaded.model).__name__
            raise NotExported(f"onnxruntime-genai cannot export {kind}: {first_line(error)}") from None


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """The exporter prints its progress, and sets up logging for the whole process with a line for each layer."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.getLogger("onnxruntime.quantization").setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
