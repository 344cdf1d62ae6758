"""The stages of `copilot pipeline` in order: each runs when its fingerprint says so, and the run is recorded."""

from rich.table import Table

from copilot.config import Config
from copilot.errors import ConfigError
from copilot.pipeline import STAGES, Work, contacted, demo_markdown, describe, record, run_demo, run_evaluate, run_index, run_train
from copilot.terminal import Terminal


def choose_stages(from_: str | None, only: str | None) -> tuple[str, ...]:
    """The stages that `--from` and `--only` leave."""
    for given in (from_, only):
        if given is not None and given not in STAGES:
            raise ConfigError(f"no stage named {given}", f"stages: {', '.join(STAGES)}")
    if from_ and only:
        raise ConfigError("--from and --only exclude each other", "give one of them")
    if only:
        return (only,)
    return STAGES[STAGES.index(from_) :] if from_ else STAGES


def run_pipeline(
    config: Config,
    terminal: Terminal,
    flag: str,
    from_: str | None,
    only: str | None,
    resume: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run what is not fresh, show figures and demo answers, and write `run.json`."""
    stages = choose_stages(from_, only)
    work = Work(config, flag)
    if dry_run:
        _print_plan(config, terminal, flag, stages, force)
        return
    for stage in stages:
        if not force and work.state(stage) == "fresh":
            terminal.say(f"{stage}: fresh, skipped")
            continue
        match stage:
            case "index":
                run_index(config, terminal, flag, force)
            case "train":
                run_train(config, terminal, flag, force, resume, terminal.training_plan)
            case "evaluate":
                run_evaluate(config, terminal, flag)
            case _:
                run_demo(config, terminal, flag)
        record(config, flag)
    path = record(config, flag)
    if as_json:
        print(path.read_text(encoding="utf-8"), end="")
        return
    _print_results(config, terminal, flag)


def _print_plan(config: Config, terminal: Terminal, flag: str, stages: tuple[str, ...], force: bool) -> None:
    table = Table("Stage", "Plan", "Why", title=f"Run {config.run.name}")
    for row in describe(config, flag, stages, force):
        table.add_row(*row)
    terminal.out.print(table)
    remote = contacted(config)
    print("Contacts no remote endpoint." if not remote else "Contacts:\n" + "\n".join(f"  {url}" for url in remote))


def _print_results(config: Config, terminal: Terminal, flag: str) -> None:
    import json

    from copilot.evaluation.report import table, verdict

    work = Work(config, flag)
    evaluation, demo = work.artefact("evaluate"), work.folder / "demo.md"
    if demo.is_file():
        print(demo.read_text(encoding="utf-8"))
    if evaluation.is_file():
        summary = json.loads(evaluation.read_text(encoding="utf-8"))["summary"]
        terminal.out.print(table(summary["base"], summary["tuned"]))
        print(verdict(summary["base"], summary["tuned"]))
    print("Written:")
    for path in (work.artefact("index"), work.artefact("train"), evaluation, demo, work.folder / "run.json"):
        if path.exists():
            print(f"  {path}")
