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
VERSION = "bert-onnx-1"  # of the export: raise it when its vectors change
AGAIN = "copy or download the folder again"


def cache_folder() -> Path:
    """Where this program keeps what it can make again: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tech-clarity-copilot"


def threads() -> int:
    """How many threads onnxruntime may use: what OMP_NUM_THREADS says; 0, which is one for each core, without it."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() else 0


def encoder_folder(folder: Path, sha256: str, adapter: Path | None = None, tuned: str = "") -> Path:
    """Where the export is kept, made now where it is not there.

    `adapter` is a PEFT folder that is merged into the weights, `tuned` its fingerprint.

    Raises CopilotError when the weights are not those of `sha256`, or cannot be loaded.
    """
    kept = cache_folder() / "-".join(filter(None, (VERSION, sha256[:16], tuned[:16])))
    try:
        whole = read_manifest(kept) is not None
    except StaleError:
        whole = False  # damaged: made again
    if not whole:
        _export(folder, sha256, kept, adapter, tuned)
    return kept


def open_encoder(kept: Path, many: bool) -> Any:
    """A session of `ids` (1, t) to the sum over t of the last hidden states (dim,), fp32.

    With a projection of tokens also to the projected states, (t, its rows).

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


def _export(folder: Path, sha256: str, kept: Path, adapter: Path | None, tuned: str) -> None:
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
        with swapped_folder(kept, {"weights": sha256, "adapter": tuned, "version": VERSION}) as fresh:
            _write(folder, fresh / "whole.onnx", adapter)
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


def _write(folder: Path, file: Path, adapter: Path | None) -> None:
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
            raise CopilotError(why, "mend `embeddings.adapter`") from None

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

    length = torch.export.Dim("length", min=2, max=int(bert.config.max_position_embeddings))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Summed().eval(),
            (torch.ones(1, 9, dtype=torch.long),),
            str(file),
            input_names=["ids"],
            output_names=["sums"] if projection is None else ["sums", "tokens"],
            dynamic_shapes=({1: length},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


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
