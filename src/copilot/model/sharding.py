"""A PEFT model in; the same with its base weights shared out over the processes, each holding its part of every one.

A layer's weights are put together where it is read and let go after it (torch's `fully_shard`, FSDP 2). The adapter,
which is small, is whole in every process: its gradients are averaged, and it is saved and resumed as without sharding.
"""

from typing import Any

from copilot.config import Model
from copilot.errors import CopilotError, Exit


def check_shardable(config: Model, backend: str) -> None:
    """Raises CopilotError where the base model cannot be shared out."""
    if config.load_in_4bit:
        raise CopilotError(
            "weights in 4 bits cannot be sharded (FSDP)",
            "set model.load_in_4bit=false, or launch without FSDP: each process then holds the model in 4 bits",
            Exit.USAGE,
        )
    if backend == "unsloth":
        raise CopilotError("unsloth's models cannot be sharded (FSDP)", "set model.backend=transformers", Exit.USAGE)


def shard(model: Any) -> None:
    """Keep this process's part of each base weight, on its own device, wherever the model was before.

    The weights outside the layers (embeddings, head) are put together for the whole of a step.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    adapter = {parameter for parameter in model.parameters() if parameter.requires_grad}
    for parameter in adapter:
        parameter.data = parameter.data.to(device)
    base = model.get_base_model()
    for module in base.modules():
        if type(module).__name__ in (base._no_split_modules or ()):
            fully_shard(module, mesh=mesh, ignored_params=adapter)
    fully_shard(model, mesh=mesh, ignored_params=adapter)
    model._is_accelerate_prepared = True  # which would wrap it once more, and refuses to


def average_gradients(model: Any) -> None:
    """The mean over the processes of each gradient of the adapter, in place."""
    import torch

    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
