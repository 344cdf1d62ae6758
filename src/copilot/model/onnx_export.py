"""A model and its adapter in; `onnx/` out: the merged weights as onnxruntime reads them, proven on prompts."""

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
SCORED = 16  # tokens of a step that get scores: more than a guess has


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
    """The merged model by way of the disk, from where the exporter reads it."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".merged-") as name, silent():
        merged, cache = Path(name) / "model", Path(name) / "cache"
        loaded.model.save_pretrained(merged)
        loaded.tokenizer.save_pretrained(merged)
        settings = [] if precision == "fp32" else ["accuracy_level=4"]  # activations in 8 bits: docs/performance.md
        try:
            create(merged, folder, precision, cache, settings)
        except Exception as error:  # NotImplementedError for an architecture, and whatever else its parts meet
            kind = type(loaded.model).__name__
            raise NotExported(f"onnxruntime-genai cannot export {kind}: {first_line(error)}") from None


def create(merged: Path, folder: Path, precision: Precision, cache: Path, settings: list[str]) -> None:
    """onnxruntime-genai's own exporter from folder to folder, and scores for the last tokens of a step alone."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    where = ("", str(merged), str(folder), precision, "cpu", str(cache))
    create_model(*where, **parse_extra_options(*where, list(settings)))
    score_the_last(folder / "model.onnx")


def score_the_last(file: Path) -> None:
    """Have the model score the last SCORED tokens of what it reads, and give zeros for those before them.

    Scores are a fifth of the work of reading for a small model, and nobody asks for those of a prompt's inside. The
    exporter's own `prune_lm_head` leaves one, and guesses want several. A graph of another kind stays as it is.
    """
    import onnx
    from onnx import helper

    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    head = next(node for node in graph.node if "logits" in node.output)
    if head.op_type not in ("MatMul", "MatMulNBits"):
        return
    hidden, head.input[0], head.output[0] = head.input[0], "last/hidden", "last/logits"
    for name, values in (("first", [-SCORED]), ("end", [2**31 - 1]), ("axis", [1]), ("zeros", [0])):
        graph.initializer.append(helper.make_tensor(f"last/{name}", onnx.TensorProto.INT64, [1], values))
    place = list(graph.node).index(head)
    graph.node.insert(
        place, helper.make_node("Slice", [hidden, "last/first", "last/end", "last/axis"], ["last/hidden"])
    )
    after = [
        helper.make_node("Shape", [hidden], ["last/all"], start=1, end=2),
        helper.make_node("Shape", ["last/hidden"], ["last/some"], start=1, end=2),
        helper.make_node("Sub", ["last/all", "last/some"], ["last/rest"]),
        helper.make_node("Concat", ["last/rest", "last/zeros"], ["last/pads"], axis=0),
        helper.make_node("Pad", ["last/logits", "last/pads", "", "last/axis"], ["logits"]),
    ]
    graph.node.extend(after)
    onnx.save(model, file)


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
