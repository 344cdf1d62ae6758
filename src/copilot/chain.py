"""The stages of `copilot pipeline` in order: each runs when its fingerprint says so, and `run.json` ties them."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copilot import __version__
from copilot.config import Config
from copilot.errors import ConfigError, StaleError
from copilot.knowledge.embeddings import remote_endpoints
from copilot.model.processes import launched
from copilot.pipeline import run_demo, run_evaluate, run_index, run_train
from copilot.provider import endpoint_of
from copilot.runs import now, write_json
from copilot.terminal import Terminal
from copilot.work import STAGES, Work, file_sha256

_LOSSES = ("loss_before", "loss_after")


@dataclass(frozen=True, slots=True)
class Options:
    """How `copilot pipeline` was called."""

    from_: str | None = None  # a stage
    only: str | None = None  # a stage
    resume: bool = False
    force: bool = False
    dry_run: bool = False
    as_json: bool = False


def choose_stages(from_: str | None, only: str | None, stages: tuple[str, ...] = STAGES) -> tuple[str, ...]:
    """The stages of these that `--from` and `--only` leave."""
    if from_ and only:
        raise ConfigError("--from and --only exclude each other", "give one of them")
    if only:
        return (only,)
    return tuple(stage for stage in stages if not from_ or STAGES.index(stage) >= STAGES.index(from_))


def run_pipeline(config: Config, terminal: Terminal, flags: str, options: Options) -> None:
    """Run what is not fresh, show figures and demo answers, and write `run.json`."""
    if launched().count > 1:
        raise ConfigError(
            "several processes can only train together", "launch `copilot train` with them, and run the pipeline alone"
        )
    work = Work(config, flags)
    stages = choose_stages(options.from_, options.only, work.stages)
    if options.dry_run:
        print_plan(work, stages, options.force)
        return
    for stage in stages:
        state = work.state(stage)
        if not options.force and state == "fresh" and stage in work.stages:
            terminal.say(f"{stage}: fresh, skipped")
            continue
        terminal.detail(f"{stage}: {'--force' if options.force else state}")
        match stage:
            case "index":
                run_index(config, terminal, flags, options.force)
            case "train":
                run_train(config, terminal, flags, options.force, options.resume, terminal.training_plan)
            case "evaluate":
                run_evaluate(config, terminal, flags)
            case _:
                run_demo(config, terminal, flags)
        record(work)
    path = record(work)
    if options.as_json:
        print(path.read_text(encoding="utf-8"), end="")
        return
    _print_results(work, terminal)


def record(work: Work) -> Path:
    """Write `run.json` when what it says has changed: what ties answers to adapter to index to file hashes."""
    path = work.folder / "run.json"
    made = {stage: _found(work, stage) for stage in STAGES}
    index, adapter, evaluation, demo = made.values()
    documents = index.get("documents", {})
    data: dict[str, Any] = {
        "run": work.config.run.name,
        "version": __version__,
        "config": work.config.model_dump(mode="json"),
        "stages": {stage: {"state": work.state(stage), "key": made[stage].get("fingerprint")} for stage in work.stages},
        "documents": documents,
        "index": _some(index, "fingerprint", "embeddings", "dimension", "chunks", "made"),
        "adapter": _some(adapter, "fingerprint", "index", "model", "base", "recipe", "prompt", *_LOSSES, "made"),
        "evaluation": _some(evaluation, "fingerprint", "adapter", "index", "made"),
        "answers": [
            {
                "question": answer["question"],
                "answer": answer["answer"],
                "adapter": demo.get("adapter"),
                "index": demo.get("index"),
                "documents": {hit["document"]: documents.get(hit["document"]) for hit in answer["hits"]},
            }
            for answer in demo.get("answers", [])
        ],
    }
    weights = work.artefact("train") / "adapter_model.safetensors"
    if adapter and weights.is_file():
        data["adapter"]["sha256"] = file_sha256(weights)
    if _read(path) != data:
        write_json(path, {"written": now(), **data})
    return path


def _found(work: Work, stage: str) -> dict[str, Any]:
    try:
        return work.found(stage) or {}
    except StaleError:  # `state` says so
        return {}


def _some(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


def _read(path: Path) -> dict[str, Any]:
    """What `run.json` says, without when it was written; nothing when there is none or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {name: value for name, value in data.items() if name != "written"}
    except (OSError, ValueError, AttributeError):
        return {}


def describe(work: Work, stages: Sequence[str], force: bool) -> list[tuple[str, str, str]]:
    """(stage, what happens, why) of a dry run; a stage after one that runs runs too."""
    rows: list[tuple[str, str, str]] = []
    running, blocked = "", ""  # the first earlier stage that runs; an earlier one that is left out and not fresh
    for stage in work.stages:
        state = work.state(stage)
        if stage not in stages:
            rows.append((stage, "left out", state))
            if state != "fresh" and stage in ("index", "train"):
                blocked = blocked or stage
        elif blocked:
            rows.append((stage, "refused", f"{blocked} is not fresh; first {work.command(blocked)}"))
        elif stage == "train" and work.lender:
            blocked = "" if state == "fresh" else "train"
            first = f"; first {work.command('train')}" if blocked else ""
            rows.append((stage, "refused" if blocked else "skipped", f"{state} in run {work.lender}{first}"))
        elif force or state != "fresh":
            rows.append((stage, "runs", "--force" if force else state))
            running = running or stage
        else:
            rows.append((stage, "runs" if running else "skipped", f"after {running}" if running else "fresh"))
    return rows


def contacted(config: Config, running: Sequence[str]) -> list[str]:
    """Every remote endpoint that these stages would contact."""
    found = remote_endpoints(config.embeddings) if running else []
    if config.model.provider:
        found += [endpoint_of(config.model.provider, config.model)] if {"evaluate", "demo"} & set(running) else []
    elif set(running) - {"index"} and not Path(config.model.name).is_absolute():
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        found.append(f"{hub}/{config.model.name} (unless it is in the local cache)")
    if "train" in running and config.train.report_to == "wandb":
        found.append(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    return found


def print_plan(work: Work, stages: Sequence[str], force: bool) -> None:
    """The dry run: one line a stage, then the endpoints."""
    rows = describe(work, stages, force)
    print(f"Run {work.config.run.name} in {work.folder}")
    for stage, plan, why in rows:
        print(f"  {stage:<9} {plan:<9} {why}")
    remote = contacted(work.config, [stage for stage, plan, _ in rows if plan == "runs"])
    print("Contacts:\n" + "\n".join(f"  {url}" for url in remote) if remote else "Contacts no remote endpoint.")


def _print_results(work: Work, terminal: Terminal) -> None:
    from copilot.evaluation.report import results

    evaluation, demo = work.artefact("evaluate"), work.folder / "demo.md"
    if demo.is_file():
        print(demo.read_text(encoding="utf-8"))
    if found := work.found("evaluate"):
        for part in results(found["summary"]):
            terminal.result(part)
    print("Written:")
    made = [work.artefact(stage) for stage in ("index", "train") if stage in work.stages]
    for path in (*made, evaluation, demo, work.folder / "run.json"):
        if path.exists() and path.parent == work.folder:
            print(f"  {path}")
