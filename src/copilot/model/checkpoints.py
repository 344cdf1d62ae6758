"""A folder of checkpoints in; the newest whole one out, and a Ctrl-C that leaves one behind.

The checkpoints are TRL's own. Beside the safetensors adapter they hold optimizer, scheduler and random state in torch's
format; they live only while training runs, are read back by the same program with `weights_only=True`, which opens
tensors and plain values and never an arbitrary pickle, and none of them reaches the adapter's folder.
"""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from copilot.errors import StaleError
from copilot.runs import file_sizes, write_json

WHOLE = "whole.json"  # written last into a checkpoint
OWNER = "fingerprint.json"


def mark_whole(checkpoint: Path, step: int) -> None:
    """Write down that the checkpoint is complete, with the size of each of its files."""
    files = file_sizes(checkpoint)
    files.pop(WHOLE, None)
    write_json(checkpoint / WHOLE, {"step": step, "files": files})


def is_whole(checkpoint: Path) -> bool:
    """Whether every file of the checkpoint is there at its full size."""
    try:
        files = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))["files"]
        return all((checkpoint / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def last_checkpoint(folder: Path, fingerprint: str) -> Path | None:
    """The newest whole checkpoint. Raises StaleError when the checkpoints belong to other settings or data."""
    mark = folder / OWNER
    if not mark.is_file():
        return None
    if json.loads(mark.read_text(encoding="utf-8")) != fingerprint:
        raise StaleError(
            f"the checkpoints in {folder} were made with other settings or data", "run copilot train without --resume"
        )
    return max(filter(is_whole, folder.glob("checkpoint-*")), key=_step, default=None)


def rotate(folder: Path, keep: int, best: int | None) -> None:
    """Leave the newest `keep` whole checkpoints and that of step `best`; the others go, broken ones too."""
    whole = sorted(filter(is_whole, folder.glob("checkpoint-*")), key=_step)
    kept = {*whole[-keep:], folder / f"checkpoint-{best}"}
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint not in kept:
            (checkpoint / WHOLE).unlink(missing_ok=True)  # first: half a folder must not be taken for a whole one
            shutil.rmtree(checkpoint, ignore_errors=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@contextmanager
def held_interrupt(aloud: bool = True) -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C is only noted, which the yielded function tells; the second ends at once."""
    pressed = False

    def note(signum: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        if aloud:
            os.write(2, b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
