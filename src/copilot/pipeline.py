"""The product on one page: a Config in; index, adapter, answers, evaluation and demo out, each with what made it."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from copilot.answering.answer import Answerer
from copilot.answering.extractive import extractive
from copilot.config import Config
from copilot.console import Console, Silent
from copilot.errors import ConfigError, CopilotError, StaleError
from copilot.knowledge.chunks import split
from copilot.knowledge.documents import linked_folders, load_documents
from copilot.knowledge.embeddings import load_embeddings
from copilot.knowledge.index import Index
from copilot.knowledge.reranker import open_reranker
from copilot.model import artefact
from copilot.model.checkpoints import last_checkpoint
from copilot.model.dataset import (
    Row,
    build_rows,
    from_lists,
    held_out_split,
    read_examples,
    read_questions,
    to_lists,
)
from copilot.model.load import describe, load_model, load_tokenizer, model_folder, prepare, quiet_libraries
from copilot.model.plan import Plan, plan
from copilot.model.processes import Processes, together
from copilot.model.sharding import check_shardable
from copilot.model.template import check_template
from copilot.model.trainer import Trained, train_adapter
from copilot.opened import open_answerer, open_retriever
from copilot.prompt.render import prompt_fingerprint
from copilot.runs import locked, now, read_manifest, write_json, write_text
from copilot.types import Answer, Question
from copilot.work import Work, unchanged


def run_index(config: Config, console: Console, flag: str = "", force: bool = False) -> dict[str, Any]:
    """Documents → chunks → vectors → `index/`; nothing is done when the files and settings are unchanged."""
    work = Work(config, flag)
    with locked(work.folder, "index", console.say):
        for link in linked_folders(config.documents):
            console.say(f"index: {link} is a link to a folder and is not read; name it in `documents.paths` to have it")
        key, files = work.key("index"), work.files()
        if not force and work.state("index") == "fresh":
            manifest = read_manifest(work.artefact("index"))
            assert manifest is not None
            count = _counted(manifest["chunks"], len(manifest["documents"]))
            console.say(f"index: unchanged, nothing to do ({count})")
            return manifest
        quiet_libraries()
        with console.progress("reading", len(files)) as step:
            documents = load_documents(config.documents, step)
        chunks = []
        for document in documents:
            made = list(split(document, config.chunks))
            if not made:
                raise CopilotError(f"{document.source}: no text in it", "remove it, or name it in `documents.exclude`")
            chunks += made
        unchanged(str(files), str({d.path: d.sha256 for d in documents}), "a document")
        embeddings = load_embeddings(config.embeddings)
        open_reranker(config.retriever.reranker)  # exported once, by torch, which asking does without
        with console.progress("embedding", len(chunks)) as step:
            index = Index.build(chunks, embeddings, config.embeddings.batch_size, step)
        manifest = {
            "fingerprint": key,
            "made": now(),
            "embeddings": config.embeddings.model,
            "embedder": embeddings.fingerprint,
            "splitter": config.chunks.model_dump(),
            "documents": files,
        }
        index.save(work.artefact("index"), manifest)
        long = getattr(embeddings, "long_texts", 0)
        note = f"; {long} longer than the embedder's window, embedded in parts" if long else ""
        console.say(f"index: {_counted(len(chunks), len(documents))}{note} → {work.artefact('index')}")
        return manifest


def _counted(chunks: int, documents: int) -> str:
    return f"{chunks} chunk{'s' * (chunks != 1)} of {documents} document{'s' * (documents != 1)}"


def training_rows(
    config: Config, console: Console, flag: str, tokenizer: Any, processes: int = 1
) -> tuple[list[Row], list[Row]]:
    """(train, held out) rows as the model will read them; without packs no more than `max_steps` will read."""
    train = config.train
    learnt, held_out = held_out_split(read_examples(Path(train.data), config.answer.sections), train.held_out)
    read = train.max_steps * train.per_device_train_batch_size * train.gradient_accumulation_steps * processes
    if 0 < read < len(learnt) and not train.packing:
        learnt = [learnt[i] for i in sorted(Random(config.seed).sample(range(len(learnt)), read))]
    retrieve = open_retriever(config, flag)
    with console.progress("retrieving contexts", len(learnt) + len(held_out)) as step:
        asked = [example.question for example in (*learnt, *held_out) if example.context is None]
        retrieve.embed(asked, config.embeddings.batch_size)
        rows = build_rows([*learnt, *held_out], retrieve, tokenizer, config.prompt, config.answer, step)
    return rows[: len(learnt)], rows[len(learnt) :]


def run_train(
    config: Config,
    console: Console,
    flag: str = "",
    force: bool = False,
    resume: bool = False,
    show: Callable[[Plan], None] = lambda p: None,
) -> None:
    """Rows → LoRA adapter in `adapter/`, with its log, curve and model card.

    Under torchrun or accelerate several processes train together; the first alone speaks and writes. With
    `train.adapter_from` nothing is trained. Raises StaleError when that run has no adapter of this model.
    """
    if config.model.extractive:
        console.say("train: nothing to train, since model.backend=extractive has no language model")
        return
    if config.model.provider:
        message = f"{config.model.name} is a remote model, which is asked as it is and cannot be trained"
        raise ConfigError(message, "go on with copilot ask, or name a model that runs here in `model.name`")
    work = Work(config, flag)
    if work.lender:
        if (state := work.state("train")) != "fresh":
            raise StaleError(f"the adapter at {work.artefact('train')} is {state}", f"run {work.command('train')}")
        console.say(f"train: nothing to do, run {work.lender} trains the adapter ({work.artefact('train')})")
        return
    with together() as processes:
        if processes.first:
            with locked(work.folder, "train", console.say):
                _train(work, console, force, resume, show, processes)
        else:
            _train(work, Silent(), force, resume, lambda p: None, processes)


def _train(
    work: Work, console: Console, force: bool, resume: bool, show: Callable[[Plan], None], processes: Processes
) -> None:
    config, checkpoints = work.config, work.folder / "checkpoints"
    if processes.told(lambda: not force and work.state("train") == "fresh"):
        console.say(f"train: unchanged, nothing to do ({work.artefact('train')})")
        return
    key, recipe = work.key("train"), work.recipe()
    if resume:
        try:
            start = last_checkpoint(checkpoints, key)
        except StaleError as error:
            raise StaleError(error.message, f"run {work.command('train')}, without --resume") from None
        console.say(f"train: {f'going on after {start.name}' if start else 'no whole checkpoint, from the start'}")
    whole_rows = not config.train.packing and not processes.sharded
    backend = prepare(config.model, whole_rows)
    if processes.sharded:
        check_shardable(config.model, backend)
    tokenizer = load_tokenizer(model_folder(config.model), config.model.chat_template)
    settings = (config, console, work.flags, tokenizer, processes.count)
    made = processes.told(lambda: [to_lists(part) for part in training_rows(*settings)])
    rows, held_out = map(from_lists, made)
    planned = plan(rows, held_out, config.train, config.model, processes.count)
    show(planned)
    loaded = load_model(config.model, training=True, whole_rows=whole_rows, sharded=processes.sharded)
    check_template(loaded.model, rows, tokenizer)
    unchanged(key, work.key("train"), "a document, a row or the base model")
    many = f", {processes.count} processes" if processes.count > 1 else ""
    many += ", each with its part of the base model" if processes.sharded else ""
    console.say(f"train: {describe(loaded)}, {planned.steps} steps{many}")
    index = read_manifest(work.artefact("index"))
    assert index is not None
    trained, done = _train_with_bar(
        config, console, loaded, rows, held_out, planned, checkpoints, key, resume, processes
    )
    if processes.first:
        manifest = {
            "fingerprint": key,
            "recipe": recipe,
            "index": index["fingerprint"],
            "base": work.base(),
            "model": config.model.name,
            "prompt": prompt_fingerprint(config.prompt, config.answer, config.retriever.k, tokenizer.chat_template),
            "k": config.retriever.k,
            "made": now(),
        }
        artefact.save_adapter(work.artefact("train"), trained, planned, done, config, manifest)
        shutil.rmtree(checkpoints, ignore_errors=True)
    console.say(f"train: {_loss_sentence(done)} → {work.artefact('train')}")


def _train_with_bar(
    config: Config,
    console: Console,
    loaded: Any,
    rows: list[Row],
    held_out: list[Row],
    planned: Plan,
    checkpoints: Path,
    key: str,
    resume: bool,
    processes: Processes,
) -> tuple[Any, Trained]:
    with console.progress("training", planned.steps) as step:
        seen, measured = 0, ""

        def on_step(at: int, total: int, loss: float, held_out: float | None = None) -> None:
            nonlocal seen, measured
            measured = measured if held_out is None else f", held out {held_out:.3f}"
            step(at - seen, note=f"loss {loss:.3f}{measured}")
            seen = at

        settings = (config.train, config.model, config.seed, checkpoints, key, resume)
        return train_adapter(loaded, rows, held_out, *settings, on_step, processes, console.say)


def _loss_sentence(done: Trained) -> str:
    if done.loss_before is None or done.loss_after is None:
        return f"{done.steps} steps; no held-out rows"
    best = f", the best at step {done.kept_step}" if done.kept_step != done.steps else ""
    return f"{done.steps} steps, held-out loss {done.loss_before:.3f} → {done.loss_after:.3f}{best}"


def run_evaluate(config: Config, console: Console, flag: str = "") -> dict[str, Any]:
    """The held-out questions to base and tuned model, free, and to the tuned one as it serves → `evaluation.json`."""
    from copilot.evaluation.metrics import score
    from copilot.evaluation.report import to_dict

    work = Work(config, flag)
    with locked(work.folder, "evaluate", console.say):
        key = work.key("evaluate")
        questions = spread(read_questions(Path(config.evaluation.questions)), config.evaluation.limit)
        scored = {}
        for name, answerer in _columns(config, flag, console.say):
            with console.progress(f"asking {name}", len(questions)) as step:
                answers = answerer.ask_all([q.question for q in questions], step)
            scored[name] = [(a, score(q, a, config.answer.sections)) for q, a in zip(questions, answers, strict=True)]
        unchanged(key, work.key("evaluate"), "a document, the questions or the adapter's rows")
        result = {**_made_from(work, "evaluate"), **to_dict(questions, scored)}
        write_json(work.artefact("evaluate"), result)
        console.say(f"evaluate: {len(questions)} questions → {work.artefact('evaluate')}")
        return result


def _columns(config: Config, flag: str, say: Callable[[str], None]) -> Iterator[tuple[str, Answerer]]:
    """(name, what answers) of each column of the evaluation, all over the same hits; without a model there is one."""
    served = open_answerer(config, flag, strict=True, say=say)
    assert served.retrieve is not None
    if config.model.extractive:
        yield "extractive", served
        return
    free = config.answer.model_copy(update={"enforce": "off", "refuse": True})
    base = open_answerer(config, flag, tuned=False, strict=True)
    yield "base", replace(base, config=free, repair=False, doubt=None)
    if not config.model.provider:  # there, nothing stands between free and served
        yield "tuned", replace(served, config=free, doubt=None)
    yield "served", served
    yield "extractive", extractive(served.retrieve, config.answer, served.files, served.doubt, served.glossary)


def _made_from(work: Work, stage: str) -> dict[str, Any]:
    """What ties a result to the adapter and the index that answered."""
    found = {earlier: work.found(earlier) or {} for earlier in ("train", "index")}
    adapter, index = found["train"].get("fingerprint"), found["index"].get("fingerprint")
    return {"fingerprint": work.key(stage), "made": now(), "adapter": adapter, "index": index}


def spread(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """At most `limit` questions, evenly over the file."""
    count = len(questions)
    if limit is None or limit >= count:
        return list(questions)
    return [questions[int((i + 0.5) * count / limit)] for i in range(limit)]


def run_demo(config: Config, console: Console, flag: str = "") -> list[Answer]:
    """The demo questions to the tuned model → `demo.json` and `demo.md`."""
    from copilot.evaluation.report import demo_markdown

    work = Work(config, flag)
    with locked(work.folder, "demo", console.say):
        key = work.key("demo")
        answerer = open_answerer(config, flag, strict=True)
        with console.progress("demo questions", len(config.demo.questions)) as step:
            answers = answerer.ask_all(config.demo.questions, step)
        unchanged(key, work.key("demo"), "a document or the adapter's rows")
        write_text(work.folder / "demo.md", "\n\n".join(demo_markdown(answer) for answer in answers) + "\n")
        write_json(work.artefact("demo"), {**_made_from(work, "demo"), "answers": [a.to_json() for a in answers]})
        console.say(f"demo: {len(answers)} answers → {work.folder / 'demo.md'}")
        return answers
