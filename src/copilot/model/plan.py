"""Tokenised rows and the settings in; what training will do out, or why it cannot be done."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass

from copilot.config import Model, Train
from copilot.errors import ConfigError, CopilotError
from copilot.model.dataset import Row
from copilot.model.packs import steps_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What training will do."""

    rows: int
    held_out: int  # rows
    tokens: int
    loss_tokens: int
    longest: int  # tokens
    steps: int  # optimizer steps


def plan(train: Sequence[Row], held_out: Sequence[Row], config: Train, model: Model, processes: int = 1) -> Plan:
    """Count, and refuse what could not train. Raises CopilotError with the remedy."""
    batch = config.per_device_train_batch_size * config.gradient_accumulation_steps * processes
    if config.packing:
        on_device = config.per_device_train_batch_size * config.gradient_accumulation_steps
        lengths = [len(row.input_ids) for row in train]
        per_epoch = math.ceil(len(steps_of(lengths, on_device, 0, config.pack_tokens)) / processes)
    else:
        batches = math.ceil(len(train) / (config.per_device_train_batch_size * processes))
        per_epoch = max(math.ceil(batches / config.gradient_accumulation_steps), 1)
    steps = config.max_steps if config.max_steps > 0 else math.ceil(per_epoch * config.num_train_epochs)
    _check_settings(config, len(held_out))
    rows = [*train, *held_out]
    for row in rows:
        where = f"{config.data}:{row.line}"
        length = len(row.input_ids)
        if length > model.max_length:
            raise CopilotError(
                f"{where}: {length} tokens, but model.max_length is {model.max_length}: its answer would be cut",
                f"set model.max_length to at least {length}, or lower retriever.k",
            )
        if len(row.input_ids) <= row.prompt_length:
            raise CopilotError(f"{where}: no token of this row carries loss", "give it a longer response")
    if config.max_steps and 0 < config.max_steps < config.min_steps:
        made = f"train.max_steps ({config.max_steps}) is fewer than train.min_steps ({config.min_steps})"
        raise CopilotError(f"{made}: too few to learn from", "raise train.max_steps, or lower train.min_steps")
    if steps < config.min_steps:
        raise CopilotError(
            f"{len(train)} rows in batches of {batch} for {config.num_train_epochs:g} epochs make {steps} optimizer "
            f"step{'s' if steps != 1 else ''}, fewer than train.min_steps ({config.min_steps}): too few to learn from",
            "raise train.num_train_epochs, lower train.gradient_accumulation_steps, add rows, or lower train.min_steps",
        )
    tokens = sum(len(r.input_ids) for r in train)
    loss_tokens = sum(len(r.input_ids) - r.prompt_length for r in train)
    return Plan(len(train), len(held_out), tokens, loss_tokens, max(len(r.input_ids) for r in rows), steps)


def _check_settings(config: Train, held_out: int) -> None:
    if config.early_stopping_patience is not None and not held_out:
        raise ConfigError(
            "train.early_stopping_patience needs held-out rows to measure, and there are none",
            "raise train.held_out, or set train.early_stopping_patience=null",
        )
    if config.report_to != "none" and importlib.util.find_spec(config.report_to) is None:
        raise ConfigError(
            f"train.report_to={config.report_to} needs the package {config.report_to}, which is not installed",
            f"pip install {config.report_to}, or set train.report_to=none",
        )
