"""A BERT folder and the sha256 of its weights in; an onnxruntime session that gives a window's summed vectors out.

The model is exported once, by torch and transformers, and kept in the user's cache under that sha256. From then on
nothing here needs either of them: opening takes 0.2 s, where importing them takes 6.
"""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

from copilot.errors import CopilotError, StaleError, first_line
from copilot.runs import read_manifest, sha256_file, swapped_folder

TOKENS = "adapter_tokens.safetensors"  # a projection of token vectors, beside an adapter
HEAD = "adapter_head.safetensors"  # two layers over the first token's state, beside an adapter that judges pairs
VERSION = "bert-onnx-1"  # of the export: raise it when its vectors change
JUDGES = "bert-judge-1"  # of the export with a head
AGAIN = "copy or download the folder again"


def cache_folder() -> Path:
    """Where this program keeps what it can make again: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tech-clarity-copilot"


def threads() -> int:
    """How many threads onnxruntime may use: what OMP_NUM_THREADS says; 0, which is one for each core, without it."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() else 0


def encoder_folder(
    folder: Path, sha256: str, adapter: Path | None = None, tuned: str = "", judges: bool = False
) -> Path:
    """Where the export is kept, made now where it is not there.

    `adapter` is a PEFT folder that is merged into the weights, `tuned` its fingerprint. One that `judges` has a HEAD
    and reads a pair of texts.

    Raises CopilotError when the weights are not those of `sha256`, or cannot be loaded.
    """
    version = JUDGES if judges else VERSION
    kept = cache_folder() / "-".join(filter(None, (version, sha256[:16], tuned[:16])))
    try:
        whole = read_manifest(kept) is not None
    except StaleError:
        whole = False  # damaged: made again
    if not whole:
        _export(folder, sha256, kept, adapter, {"weights": sha256, "adapter": tuned, "version": version})
    return kept


def open_encoder(kept: Path, many: bool) -> Any:
    """A session of `ids` (1, t) to the sum over t of the last hidden states (dim,), fp32.

    With a projection of tokens also to the projected states, (t, its rows). One that judges: of `ids` and `kinds`, 0
    for a token of the first text and 1 for one of the second, both (1, t), to the log odds, (1,).

    For `many` texts the weights are copied in the order that their kernels read (60 ms, a third faster from then on);
    for one they stay in the file (6 ms). The vectors differ by rounding, 1e-7.
    """
    import onnxruntime

    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # done when it was exported
    options.add_session_config_entry("session.disable_prepacking", "0" if many else "1")
    return onnxruntime.InferenceSession(str(kept / "model.onnx"), options, providers=["CPUExecutionProvider"])


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = threads()
    return options


def _export(folder: Path, sha256: str, kept: Path, adapter: Path | None, manifest: dict[str, Any]) -> None:
    """Write the model to `kept`; where the cache cannot be written, say so."""
    from filelock import FileLock

    if sha256_file(folder / "model.safetensors") != sha256:
        raise CopilotError(f"{folder}: its weights are not the ones expected", AGAIN)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{kept}.lock")
        lock.acquire()
    except OSError as error:
        why = f"cannot write {kept.parent}: {error.strerror or error}"
        raise CopilotError(why, "set XDG_CACHE_HOME to a folder that can be written") from None
    try:
        with swapped_folder(kept, manifest) as fresh:
            _write(folder, fresh / "whole.onnx", adapter, manifest["version"] == JUDGES)
            _simplify(fresh / "whole.onnx", fresh / "model.onnx")
            (fresh / "whole.onnx").unlink()
    finally:
        lock.release()


def _simplify(file: Path, out: Path) -> None:
    """The graph with constants folded, and no more: wider fusions made it slower (36 chunks/s against 43).

    Its weights go to a file beside it, which is mapped into memory when it is opened, not copied.
    """
    import onnxruntime

    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _write(folder: Path, file: Path, adapter: Path | None, judges: bool) -> None:
    import torch
    from transformers import BertModel

    try:
        bert = BertModel.from_pretrained(
            folder, add_pooling_layer=False, dtype=torch.float32, attn_implementation="eager"
        ).eval()
    except Exception as error:  # safetensors raises what its Rust code meets in a damaged file
        raise CopilotError(f"{folder}: cannot be loaded: {first_line(error)}", AGAIN) from None
    if adapter:
        from peft import PeftModel

        try:
            bert = PeftModel.from_pretrained(bert, str(adapter)).merge_and_unload().eval()
        except Exception as error:  # PEFT raises what a folder that does not fit leads to
            why = f"{adapter}: does not fit {folder.name}: {first_line(error)}"
            setting = "retriever.reranker" if judges else "embeddings.adapter"
            raise CopilotError(why, f"mend `{setting}`") from None
    length = torch.export.Dim("length", min=2, max=int(bert.config.max_position_embeddings))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    module, outputs = _judge(bert, adapter / HEAD) if adapter and judges else _summed(bert, adapter)
    inputs = ["ids", "kinds"] if judges else ["ids"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(torch.ones(1, 9, dtype=torch.long) for _ in inputs),
            str(file),
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=tuple({1: length} for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _summed(bert: Any, adapter: Path | None) -> tuple[Any, list[str]]:
    """What is exported of an embedder, and the names of its outputs."""
    import torch

    projection = _projection(adapter, bert.config.hidden_size) if adapter and (adapter / TOKENS).is_file() else None

    class Summed(torch.nn.Module):
        """The sum of a window's token vectors, and they projected."""

        def __init__(self) -> None:
            super().__init__()
            self.bert, self.projection = bert, projection

        def forward(self, ids: Any) -> Any:
            states = self.bert(input_ids=ids).last_hidden_state
            sums = states.sum((0, 1))
            return sums if self.projection is None else (sums, states[0] @ self.projection.T)

    return Summed(), ["sums"] if projection is None else ["sums", "tokens"]


def _judge(bert: Any, head: Path) -> tuple[Any, list[str]]:
    """What is exported of a reranker. Raises CopilotError when its head does not fit."""
    import torch
    from safetensors.torch import load_file

    width = bert.config.hidden_size
    dense, out = torch.nn.Linear(width, width), torch.nn.Linear(width, 1)
    try:
        weights = {name: weight.float() for name, weight in load_file(head).items()}
        torch.nn.ModuleDict({"dense": dense, "out": out}).load_state_dict(weights)
    except Exception as error:  # safetensors and torch raise what a file that does not fit leads to
        raise CopilotError(f"{head}: does not fit: {first_line(error)}", "mend `retriever.reranker`") from None

    class Judged(torch.nn.Module):
        """The log odds that the second text answers the first."""

        def __init__(self) -> None:
            super().__init__()
            self.bert, self.dense, self.out = bert, dense, out

        def forward(self, ids: Any, kinds: Any) -> Any:
            first = self.bert(input_ids=ids, token_type_ids=kinds).last_hidden_state[:, 0]
            return self.out(torch.tanh(self.dense(first)))[:, 0]

    return Judged(), ["logits"]


def _projection(adapter: Path, width: int) -> Any:
    """The projection of an adapter's token vectors, (rows, width). Raises CopilotError when it does not fit."""
    from safetensors.torch import load_file

    try:
        weights = load_file(adapter / TOKENS)["projection"].float()
    except Exception as error:  # safetensors raises what its Rust code meets in a damaged file
        raise CopilotError(f"{adapter / TOKENS}: cannot be loaded: {first_line(error)}", AGAIN) from None
    if weights.ndim != 2 or weights.shape[0] < 2 or weights.shape[1] != width:
        why = f"{adapter / TOKENS}: does not fit: {tuple(weights.shape)}, not (2 or more, {width})"
        raise CopilotError(why, "mend `embeddings.adapter`")
    return weights
