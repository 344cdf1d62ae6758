"""A graph of `copilot export` in; the scores after tokens out, by onnxruntime, which keeps what it has read.

The keys and values of a text stand in one buffer for its whole length: the graph reads and writes them in place, and to
go back is to name an earlier place. Other threads go on while it reads. onnxruntime-genai, whose exporter made the
graph, holds Python's lock while it opens and reads, and loads a second onnxruntime (40 MB).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copilot.knowledge.onnx_encoder import threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decoder:
    """The session of one text at a time."""

    def __init__(self, folder: Path, length: int) -> None:
        """`length` is the most tokens of a text. Raises whatever is wrong with the files."""
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = threads()
        options.enable_mem_pattern = False  # every step has another shape
        file = str(folder / "model.onnx")
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        shape = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]["decoder"]
        size = (1, int(shape["num_key_value_heads"]), length, int(shape["head_size"]))
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        self.whole, self.inner = self.session.io_binding(), self.session.io_binding()
        self.positions = False  # whether the graph asks for them
        for node in self.session.get_inputs():
            self.positions |= node.name == "position_ids"
            if node.name.startswith("past_key_values."):
                held = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(size, kinds[node.type]))
                for binding in (self.whole, self.inner):
                    binding.bind_ortvalue_input(node.name, held)
                    binding.bind_ortvalue_output(node.name.replace("past_key_values", "present"), held)
        self.needed = onnxruntime.RunOptions()
        self.needed.only_execute_path_to_fetches = True

    def read(self, ids: Sequence[int], before: int) -> "NDArray[np.floating]":
        """Scores after each of the tokens, (tokens, vocabulary), that follow the first `before` of the text.

        Those before the last few are zeros: see `onnx_export.score_the_last`.
        """
        self.whole.bind_output("logits", "cpu")
        self._run(self.whole, ids, before)
        found: NDArray[np.floating] = self.whole.get_outputs()[-1].numpy()[0]
        return found

    def read_on(self, ids: Sequence[int], before: int) -> None:
        """The same where nobody asks for the scores: what only they need is not computed."""
        self._run(self.inner, ids, before)

    def _run(self, binding: Any, ids: Sequence[int], before: int) -> None:
        import numpy as np

        binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
        binding.bind_cpu_input("attention_mask", np.ones((1, before + len(ids)), np.int64))
        if self.positions:
            binding.bind_cpu_input("position_ids", np.arange(before, before + len(ids), dtype=np.int64)[None])
        self.session.run_with_iobinding(binding, self.needed)
