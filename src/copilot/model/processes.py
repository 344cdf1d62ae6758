"""torchrun's or accelerate's environment in; which of several processes this is, and what they say to each other.

The first process alone takes the lock, reads the documents, speaks and writes; what the others need it tells them.
"""

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from copilot.errors import CopilotError, Exit

_LOST = re.compile(r"connection (closed|reset|refused)|broken pipe|timed out|socket|NCCL|Gloo", re.IGNORECASE)
_WAIT = timedelta(hours=12)  # for the first process, which may have to wait for a lock or a large knowledge base
_FSDP = "ACCELERATE_USE_FSDP"  # what `accelerate launch --use_fsdp` sets
_NOT_FSDP = {  # what else it may set that this program does not do
    "FSDP_OFFLOAD_PARAMS": "set it to false: the parts of the base model stay on the GPUs",
    "FSDP_ACTIVATION_CHECKPOINTING": "set it to false, and train.gradient_checkpointing=true",
}
_LAST_WORDS = 10  # s from SIGTERM to the end, for one sentence or a checkpoint


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train together."""

    rank: int = 0
    count: int = 1
    sharded: bool = False  # whether each holds a part of the base model, which it reads with all others at once

    @property
    def first(self) -> bool:
        """Whether this one speaks and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            import torch

            torch.distributed.barrier(device_ids=[torch.cuda.current_device()] if _device() == "cuda" else None)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any of them."""
        return bool(self.sum([float(flag)])[0])

    def sum(self, values: list[float]) -> list[float]:
        """Each value summed over all of them."""
        if self.count == 1:
            return values
        import torch

        total = torch.tensor(values, dtype=torch.float64, device=_device())
        torch.distributed.all_reduce(total)
        return [float(value) for value in total]

    def passes(self, own: int) -> int:
        """How often each must read the model of whom this one needs `own` times: with sharded weights all as often."""
        if not self.sharded:
            return own
        import torch

        most = torch.tensor(own, device=_device())
        torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
        return int(most)

    def told(self, make: Callable[[], Any]) -> Any:
        """What `make` gives in the first process, as JSON holds it, in all of them."""
        if self.count == 1:
            return make()
        import torch

        data = json.dumps(make()).encode("utf-8") if self.first else b""
        size = torch.tensor([len(data)], device=_device())
        torch.distributed.broadcast(size, 0)
        text = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            text = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        text = text.to(_device())
        torch.distributed.broadcast(text, 0)
        return json.loads(bytes(text.cpu().numpy()).decode("utf-8"))


def launched() -> Processes:
    """What the environment says, with nothing started."""
    count = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ and "MASTER_ADDR" in os.environ else 1
    if count == 1:
        return Processes()
    return Processes(int(os.environ["RANK"]), count, _set(_FSDP))


def check_launch(sharded: bool) -> None:
    """Raises CopilotError where the launcher was asked for what this program does not do."""
    if _set("ACCELERATE_USE_DEEPSPEED"):
        raise CopilotError(
            "DeepSpeed is not supported",
            "launch with --use_fsdp to share the base model out, or without it: each process then holds all of it",
            Exit.USAGE,
        )
    for name, remedy in _NOT_FSDP.items():
        if sharded and _set(name):
            raise CopilotError(f"{name}=true is not supported", remedy, Exit.USAGE)


@contextmanager
def together() -> Iterator[Processes]:
    """The processes, connected for the time of the block; of an error in any of them one sentence is said.

    Whoever fails first says it; the others, whose connection breaks then, end without a word and with its exit code.
    """
    processes = launched()
    os.environ.pop(_FSDP, None)  # `model/sharding.py` does it; accelerate would do it once more, and on GPUs alone
    if processes.count == 1:
        yield processes
        return
    import torch

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    else:  # accelerate's "cpu:0" is a place that torch.load does not know, so transformers could not resume
        os.environ.setdefault("ACCELERATE_TORCH_DEVICE", "cpu")
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=_WAIT)
    store = torch.distributed.distributed_c10d._get_default_store()
    _speak_before_ending()
    try:
        check_launch(processes.sharded)
        yield processes
    except Exception as error:
        told = error if isinstance(error, CopilotError) else _lost(error)
        first = _announce(store, int(told.code) if told else int(Exit.FAILED))
        if first is not None:
            raise SystemExit(first) from None
        if told is None:
            raise
        raise told from None
    torch.distributed.destroy_process_group()


def _speak_before_ending() -> None:
    """Have SIGTERM, which a launcher sends when one process has failed, wait until the others could say so."""

    def end_soon(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        timer = threading.Timer(_LAST_WORDS, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end_soon)


def _announce(store: Any, code: int) -> int | None:
    """Put down that this process failed with `code`; the code of the one that failed before it, None if none did."""
    try:
        if store.add("copilot_failed", 1) == 1:
            store.set("copilot_code", str(code))
            return None
        return int(store.get("copilot_code"))
    except RuntimeError:  # the launcher, which keeps the store, has gone
        return code


def _lost(error: Exception) -> CopilotError | None:
    """A connection that broke because another process was killed, as a sentence."""
    if isinstance(error, RuntimeError) and _LOST.search(str(error)):
        return CopilotError(
            "another process of this training has gone: ended from outside, or for want of memory",
            "the same command with --resume goes on after the last checkpoint",
        )
    return None


def _set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1")


def _device() -> str:
    import torch

    return "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
