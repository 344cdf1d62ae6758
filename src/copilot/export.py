"""A Config whose adapter is trained in; the tuned model in another format out, and how far it writes the same."""

from pathlib import Path

from copilot.config import Config
from copilot.console import Console
from copilot.errors import ConfigError
from copilot.knowledge.retriever import Retrieve
from copilot.model.dataset import build_rows, held_out_split, read_examples, read_questions
from copilot.model.load import load_tokenizer, quiet_libraries
from copilot.model.onnx_export import Agreement, NotExported, Precision, export_onnx
from copilot.model.processes import launched
from copilot.model.runtime import has_gpu, unfit, weights_of
from copilot.pipeline import open_answerer, open_retriever, spread
from copilot.runs import locked, now, read_manifest
from copilot.work import Work, fitting_adapter

AFTER_TRAINING = 2  # prompts replayed


def run_export(
    config: Config, console: Console, flags: str, precision: Precision, prompts: int, force: bool = False
) -> Agreement | None:
    """Adapter → `onnx/`, with `prompts` held-out prompts replayed; None when it is there already.

    Raises ConfigError for a model that is not trained here, StaleError without an adapter that fits, NotExported when
    the model cannot be exported.
    """
    work = Work(config, flags)
    if not config.model.trainable:
        what = config.model.name if config.model.provider else "model.backend=extractive"
        raise ConfigError(f"{what} has no weights here to export", "go on with copilot ask")
    if work.lender:
        raise ConfigError(f"the adapter is that of run {work.lender}", f"type {work.command('export')}")
    adapter, target = work.artefact("train"), work.artefact("export")
    with locked(work.folder, "export", console.say):
        fitting_adapter(work, False, console.say)
        if not force and not unfit(target, adapter) and (read_manifest(target) or {}).get("precision") == precision:
            console.say(f"export: unchanged, nothing to do ({target})")
            return None
        quiet_libraries()
        manifest = {"fingerprint": work.key("train"), "adapter": weights_of(adapter), "made": now()}
        asked = held_out_prompts(config, flags, adapter, prompts)
        with console.progress("exporting", 1) as step:
            found = export_onnx(target, config.model, adapter, asked, precision, manifest)
            step(1)
        share = f"{found.equal} of {found.tokens} tokens" if found.difference else f"all {found.tokens} tokens"
        console.say(f"export: {precision}, {share} of {found.prompts} answers as transformers writes them → {target}")
        if found.difference:
            console.say(f"export: the first difference {found.difference}")
        if precision != "fp32":
            console.say(f"export: {_scores(config, console, flags)}")
        return found


def _scores(config: Config, console: Console, flags: str) -> str:
    """How the held-out questions score as this export answers them, beside what `evaluation.json` says."""
    from copilot.evaluation.metrics import score, summary
    from copilot.evaluation.report import beside

    work = Work(config, flags)
    evaluation = work.found("evaluate")
    if evaluation is None or work.state("evaluate") != "fresh":
        return f"after {work.command('evaluate')}, this command also says how its answers score"
    onnx = config.model_copy(update={"model": config.model.model_copy(update={"runtime": "onnx"})})
    questions = spread(read_questions(Path(config.evaluation.questions)), config.evaluation.limit)
    with console.progress("asking the export", len(questions)) as step:
        answers = open_answerer(onnx, flags).ask_all([question.question for question in questions], step)
    pairs = zip(questions, answers, strict=True)
    scores = summary([score(question, answer, config.answer.sections) for question, answer in pairs])
    return f"{len(questions)} questions, transformers → this export: {beside(evaluation['summary']['served'], scores)}"


def export_after_training(config: Config, console: Console, flags: str) -> None:
    """The fp32 export that `ask` starts with, where there is no GPU; a model that has none is asked by transformers."""
    model, lent = config.model, Work(config, flags).lender
    if launched().count > 1 or lent or not model.trainable or model.runtime == "transformers" or has_gpu():
        return
    try:
        run_export(config, console, flags, "fp32", AFTER_TRAINING)
    except NotExported as error:
        console.say(f"export: none, so `copilot ask` takes transformers: {error.message}")


def held_out_prompts(config: Config, flags: str, adapter: Path, count: int) -> list[list[int]]:
    """Token ids of the prompts of `count` rows that training did not see (of its first rows where it saw all)."""
    examples = read_examples(Path(config.train.data), config.answer.sections)
    kept, held = held_out_split(examples, config.train.held_out)
    chosen = (held or kept)[:count]
    retrieve: Retrieve = lambda question: []  # noqa: E731
    if any(example.context is None for example in chosen):
        retrieve = open_retriever(config, flags)
    tokenizer = load_tokenizer(adapter, config.model.chat_template)
    rows = build_rows(chosen, retrieve, tokenizer, config.prompt, config.answer)
    return [list(row.input_ids[: row.prompt_length]) for row in rows]
